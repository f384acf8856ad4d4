#!/usr/bin/env node
// The installed command. The program is src/cli, compiled to dist/.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import module from 'node:module'
import { fileURLToPath } from 'node:url'

const main = new URL('../dist/cli/main.js', import.meta.url)
const root = fileURLToPath(new URL('..', import.meta.url))
if (existsSync(main)) {
  // Node 22.1 and newer keep compiled code between runs.
  module.enableCompileCache?.()
  await import(main.href)
} else if (process.argv[2] === 'setup') {
  // Set-up compiles dist/, so it must work without it.
  const script = fileURLToPath(new URL('../scripts/setup.mjs', import.meta.url))
  const { status } = spawnSync(process.execPath, [script, ...process.argv.slice(3)], { stdio: 'inherit' })
  process.exitCode = status ?? 1
} else {
  const remedy = existsSync(new URL('../src', import.meta.url))
    ? `Run \`npm run setup\` in \`${root}\``
    : 'Reinstall the package: `npm install tunesmith`'
  process.stderr.write(`error: Tunesmith is not compiled. ${remedy}.\n`)
  process.exitCode = 1
}
