"""DNS of our own: questions and answers in the loop, and the files that say whom to ask."""
