// What each test file costs in CPU seconds, with the programs that it starts: tests/costs.json, written by `npm run test:costs`. Only the order
// of files and the choice of `npm run test:changed` follow from it.
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const path = fileURLToPath(new URL('../tests/costs.json', import.meta.url))
const costs = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {}
/** Of a file that was not measured yet. */
const unknown = 3

/** @param {string} file path from the root @returns {number} */
export const costOf = (file) => costs[file] ?? unknown
