// Reads a JSON list of lists of header lines, and writes what MDN's scanner gives for
// each: the result and the points of every test, as if a page came over https with them.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { AxiosHeaders } from "axios";

const folder = path.dirname(
  createRequire(import.meta.url).resolve("@mdn/mdn-http-observatory/package.json"),
);
// The scanner's install script would load this list from the network.
fs.mkdirSync(path.join(folder, "conf"), { recursive: true });
fs.writeFileSync(path.join(folder, "conf", "hsts-preload.json"), "{}");

const { ALL_TESTS } = await import(path.join(folder, "src/constants.js"));
const { getScoreModifier } = await import(path.join(folder, "src/grader/grader.js"));
const { CookieJar } = await import("tough-cookie");

const url = new URL("https://www.example.org/");
const graded = JSON.parse(fs.readFileSync(0, "utf8")).map((lines) => {
  const headers = {};
  const jar = new CookieJar();
  for (const [name, value] of lines) {
    const key = name.toLowerCase();
    if (key === "set-cookie") {
      jar.setCookieSync(value, url.href, { ignoreError: true });
      (headers[key] ??= []).push(value);
    } else {
      // As Node joins what a server sends twice, but for policies, which axios keeps.
      headers[key] = key in headers ? `${headers[key]}, ${value}` : value;
    }
  }
  const response = { headers: new AxiosHeaders(headers), status: 200, verified: true, httpEquiv: new Map() };
  const requests = {
    hostname: url.hostname,
    session: { url, jar },
    resources: { path: "<!doctype html><title>page</title>" },
    responses: {
      auto: response, http: null, https: response, cors: null,
      httpRedirects: [], httpsRedirects: [],
    },
  };
  return Object.fromEntries(
    ALL_TESTS.map((test) => test(requests))
      .map(({ result }) => [result, getScoreModifier(result)])
      .filter(([, points]) => points !== 0),
  );
});
process.stdout.write(JSON.stringify(graded));
