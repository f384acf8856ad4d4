// Checks the C++ files of native/ against .clang-format, or formats them with --write. Without clang-format it does nothing.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../native', import.meta.url))
const files = readdirSync(folder, { recursive: true })
  .filter((name) => /\.(cpp|h)$/.test(name))
  .map((name) => join(folder, name))
const program = process.env.CLANG_FORMAT ?? 'clang-format'
const options = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '--Werror']
const { status, error } = spawnSync(program, [...options, ...files], { stdio: 'inherit' })
if (error !== undefined)
  console.log('native style: skipped, clang-format is missing. Install it: pip install clang-format')
else process.exitCode = status ?? 1
