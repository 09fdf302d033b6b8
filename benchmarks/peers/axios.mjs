// axios as Uptime Kuma uses it: a new agent for every check, no session kept.
//
// Speaks the protocol of all peers (protocol.py). Arguments: how many at once, then URLs. NODE_PATH names the folder that
// holds axios; NODE_EXTRA_CA_CERTS names the authority beside those that Node brings with it.
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import readline from "node:readline";

const axios = createRequire(import.meta.url)("axios");
const [atOnce, ...urls] = process.argv.slice(2);
const DEADLINE = 10_000; // ms

let told = false;

async function check(url) {
  try {
    const answer = await axios.request({
      url,
      method: "get",
      timeout: DEADLINE,
      signal: AbortSignal.timeout(DEADLINE),
      maxRedirects: 10,
      httpAgent: new http.Agent(),
      httpsAgent: new https.Agent({ maxCachedSessions: 0, rejectUnauthorized: true }),
    });
    return answer.status === 200 && answer.data.status === "healthy";
  } catch (error) {
    if (!told) process.stderr.write(`${error.message}\n`);
    told = true;
    return false;
  }
}

console.log("ready");
for await (const line of readline.createInterface({ input: process.stdin })) {
  const until = performance.now() + Number(line) * 1000;
  let checks = 0;
  let failed = 0;
  const loop = async (url) => {
    while (performance.now() < until) {
      if (!(await check(url))) failed += 1;
      checks += 1;
    }
  };
  await Promise.all(Array.from({ length: Number(atOnce) }, (_, place) => loop(urls[place % urls.length])));
  console.log(JSON.stringify({ checks, failed }));
}
