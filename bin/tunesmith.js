#!/usr/bin/env node
// The installed command. The program itself is src/cli, built to dist/ by set-up.
import { existsSync } from 'node:fs'

const main = new URL('../dist/cli/main.js', import.meta.url)
if (existsSync(main)) {
  await import(main.href)
} else {
  process.stderr.write('error: Tunesmith is not set up yet. Run `npm run setup`.\n')
  process.exitCode = 1
}
