// `npm run docs`: compiles the package, writes docs/reference (commands, recipe schemas, API) and builds the static site in site/.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeChart } from './docs/benchmark-chart.mjs'
import { writeReference } from './docs/reference.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const require = createRequire(import.meta.url)

/** Runs a program of the package with this package.json, and ends this one when it fails. */
const run = (name, packageFile, file, args) => {
  const script = join(dirname(packageFile), file)
  const { status } = spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit' })
  if (status === 0) return
  process.stderr.write(`error: ${name} failed; see above.\n`)
  process.exit(1)
}

const { status } = spawnSync(process.execPath, [join(root, 'scripts/compile.mjs')], { cwd: root, stdio: 'inherit' })
if (status !== 0) process.exit(1)
await writeChart(root)
const pages = await writeReference(root)
process.stdout.write(`docs: wrote ${pages} reference pages\n`)
run('typedoc', require.resolve('typedoc/package.json'), 'bin/typedoc', ['--options', 'scripts/docs/typedoc.json'])
run('vitepress', require.resolve('vitepress/package.json'), 'bin/vitepress.js', ['build', 'docs'])
process.stdout.write('docs: open site/index.html through a static server, such as `npx vitepress preview docs`\n')
