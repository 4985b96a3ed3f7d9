// Reads a JSON object of hosts, each with the ports of its http and https on this machine.
// Writes what MDN's scanner says of each: the score, and the result of every test.
import fs from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";

const folder = path.dirname(
  createRequire(import.meta.url).resolve("@mdn/mdn-http-observatory/package.json"),
);
// The scanner's install script would load this list from the network.
fs.mkdirSync(path.join(folder, "conf"), { recursive: true });
fs.writeFileSync(path.join(folder, "conf", "hsts-preload.json"), "{}");

const hosts = JSON.parse(fs.readFileSync(0, "utf8"));
// The scanner asks the ports 80 and 443 of names that only this process knows.
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...given) {
  const options = Array.isArray(given[0]) ? given[0][0] : given[0];
  const { http, https } = hosts[options.host];
  options.port = Number(options.port) === 80 ? http : https;
  options.host = "127.0.0.1";
  return connect.apply(this, given);
};

const { scan } = await import(path.join(folder, "src/scanner/index.js"));
const scanned = {};
for (const host of Object.keys(hosts)) {
  const { scan: whole, tests } = await scan(host);
  scanned[host] = {
    score: whole.score,
    results: Object.values(tests).map(({ result }) => result),
    failed: Object.values(tests).filter(({ pass }) => !pass).map(({ result }) => result),
    csp: whole.responseHeaders["content-security-policy"],
  };
}
process.stdout.write(JSON.stringify(scanned));
