"""laya-uptime checks services, decides what is true, and tells the right people exactly what happened."""
