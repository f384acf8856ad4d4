// Makes src/runs/recipe-types, which git does not have, from the schemas of src. Runs only when src or the generator has changed.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { digestTree } from './hashes.mjs'
import { faultLine, runProgram } from './programs.mjs'
import { SetupFault, warn } from './report.mjs'

const folderOf = (root) => join(root, 'src', 'runs', 'recipe-types')
const generatorOf = (root) => join(root, 'scripts', 'generate-recipe-types.mjs')
const notShipped = (path) => /\.test\.ts$|\/(fixtures|golden)\//.test(path)

/** The files of src that are compiled, but for tests and for what is made here. */
export const isOwnSource = (root, path) => !notShipped(path) && !path.startsWith(`${folderOf(root)}/`)

/** What the types of recipes, and with them dist, are made of. */
export const sourceDigest = (root) =>
  digestTree(
    root,
    [join(root, 'src'), generatorOf(root), join(root, 'tsconfig.json'), join(root, 'tsconfig.build.json')],
    (path) => isOwnSource(root, path),
  )

const stampOf = (root) => join(folderOf(root), '.source-digest')

/** Whether the types of recipes are as new as the schemas. A package that makes none has them always. */
export const hasRecipeTypes = (root, digest = sourceDigest(root)) =>
  !existsSync(generatorOf(root)) ||
  (existsSync(stampOf(root)) &&
    readFileSync(stampOf(root), 'utf8') === digest &&
    existsSync(join(folderOf(root), 'index.ts')))

/** Makes the types, unless they are up to date. Without `strict`, sources that do not load leave the types as they were. */
export const makeRecipeTypes = async (root, { strict = false } = {}) => {
  const digest = sourceDigest(root)
  if (hasRecipeTypes(root, digest)) return true
  // The generator loads src, whose imports of the types are left out of what runs.
  const { code, output } = await runProgram(process.execPath, ['--import', 'tsx', generatorOf(root)], { cwd: root })
  if (code !== 0) {
    const message = `the types of recipes could not be made: ${faultLine(output)}`
    if (strict) throw new SetupFault(message)
    warn(message)
    return false
  }
  writeFileSync(stampOf(root), digest)
  return true
}

// `npm run generate`
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await makeRecipeTypes(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), { strict: true })
  } catch (error) {
    if (!(error instanceof SetupFault)) throw error
    process.stderr.write(`error: ${error.message}\n`)
    process.exitCode = 1
  }
}
