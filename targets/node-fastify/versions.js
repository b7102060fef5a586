// Prints the version of every installed package as one JSON object.
import { readFileSync } from 'node:fs';

const lock = JSON.parse(readFileSync(new URL('node_modules/.package-lock.json', import.meta.url)));
const versions = { node: process.versions.node };
for (const [path, { version }] of Object.entries(lock.packages)) {
  versions[path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)] = version;
}
console.log(JSON.stringify(versions));
