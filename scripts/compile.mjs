// `npm run compile` and prepack: installs the packages of a new clone and compiles src to dist. Fails on type errors, so
// that no broken package is packed. Needs neither libtorch nor a compiler.
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installPackages } from './setup/packages.mjs'
import { SetupFault } from './setup/report.mjs'
import { compileTypescript } from './setup/typescript.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

try {
  await installPackages(root)
  await compileTypescript(root, { strict: true })
} catch (error) {
  if (!(error instanceof SetupFault)) throw error
  process.stderr.write(`error: ${error.message}\n`)
  process.exitCode = 1
}
