// TypeScript files that tests start as processes of their own, each joined with all that it imports to one JavaScript file. Node starts that
// in a third of the CPU time that it takes with a loader which compiles module by module, and some suites start dozens.
import { readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { startCompiled } from '../../scripts/compiled-workers.mjs'

/** Within the repository, as packages are found from here. */
const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = join(root, 'build', 'test-children')
const joined = new Map<string, Promise<string>>()

const bundle = async (source: string): Promise<string> => {
  const name = relative(root, source).replaceAll(/[\\/]/g, '-')
  const outfile = join(folder, `${name}-${process.pid}.mjs`)
  process.on('exit', () => rmSync(outfile, { force: true }))
  await build({
    entryPoints: [source],
    outfile,
    bundle: true,
    // Names of classes are in messages.
    keepNames: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'silent',
    plugins: [
      {
        // A module still finds what lies beside its source: data, and files that workers start with.
        name: 'own-place',
        setup: ({ onLoad }) =>
          onLoad({ filter: /\.ts$/ }, ({ path }) => ({
            loader: 'ts',
            contents: startCompiled(readFileSync(path, 'utf8'), path).replaceAll(
              'import.meta.url',
              JSON.stringify(pathToFileURL(path).href),
            ),
          })),
      },
    ],
  })
  return outfile
}

/** The JavaScript file that `node` runs in place of the TypeScript file at `url`. It is removed when this process ends. */
export const bundledChild = (url: URL): Promise<string> => {
  const file = joined.get(url.href) ?? bundle(fileURLToPath(url))
  joined.set(url.href, file)
  return file
}
