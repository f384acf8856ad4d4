// `npm run compile` and prepack: installs the packages of a new clone and compiles src to dist, and builds the studio's
// pages. Fails on type errors, so that no broken package is packed. Needs neither libtorch nor a compiler.
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installPackages } from './setup/packages.mjs'
import { SetupFault } from './setup/report.mjs'
import { compileTypescript } from './setup/typescript.mjs'
import { buildWeb } from './setup/web.mjs'
import { ignoreUnreachedDeclarations } from './unreached-declarations.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

try {
  await installPackages(root)
  await compileTypescript(root, { strict: true })
  await buildWeb(root)
  await ignoreUnreachedDeclarations(root)
} catch (error) {
  if (!(error instanceof SetupFault)) throw error
  process.stderr.write(`error: ${error.message}\n`)
  process.exitCode = 1
}
