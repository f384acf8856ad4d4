// The folder that nodes get: the worker in one file, the program Node, and the files of the build.

import { execFile } from 'node:child_process'
import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { exists, SetupError, shellWord } from '../../core/index.ts'
import { type BuildFiles, writeBuildFiles } from './build-files.ts'

const workerName = 'worker.mjs'
/** Name of the unpacked archive in the working folder of a task. */
const shippedName = 'tunesmith-build'

/** A module that a CommonJS package is loaded by when it is first needed; in one file it must be joined like an import. */
const lateRequire = /createRequire\d*\((?:import\.meta\.url|new URL\([^()]*\)\.href)\)\((["'])([\w-]+)\1\)/g

// In parts, since the address of a compiled module is put in place of the whole, in texts too.
const meta = 'import.meta'

/** Joins the worker and all that it imports to one file in `folder`. */
const bundleWorker = async (folder: string): Promise<void> => {
  const entry = new URL('./spark-worker.ts', import.meta.url)
  const source = fileURLToPath(entry)
  const { build } = await import('esbuild')
  await build({
    entryPoints: [(await exists(source)) ? source : source.replace(/\.ts$/, '.js')],
    outfile: join(folder, workerName),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    keepNames: true,
    legalComments: 'none',
    logLevel: 'silent',
    // Deduplication runs in Spark, and nodes need no library of the embedded database.
    external: ['@duckdb/*'],
    banner: {
      js: `import { createRequire as $createRequire } from 'node:module'; const require = $createRequire(${meta}.url);`,
    },
    plugins: [
      {
        name: 'late-require',
        setup: ({ onLoad }) =>
          onLoad({ filter: /[\\/](?:src|dist)[\\/].*\.(?:ts|js)$/ }, async ({ path }) => {
            const text = await readFile(path, 'utf8')
            if (path.includes('node_modules/') && !path.includes('tunesmith/')) return undefined
            return {
              contents: text.replace(
                lateRequire,
                (_, quote: string, name: string) => `require(${quote}${name}${quote})`,
              ),
              loader: path.endsWith('.ts') ? 'ts' : 'js',
              resolveDir: dirname(path),
            }
          }),
      },
    ],
  })
}

export interface ShippedWorker {
  /** Shell words that start the worker on a node; the name of the stage follows. */
  command: string
  /** `--archives`: the path of the archive and its name on the node; undefined where nodes read the folder itself. */
  archive?: string
}

/**
 * Writes the worker to `folder`.
 * @param local - whether the nodes are this machine, which then uses the folder and the running Node
 */
export const shipWorker = async (folder: string, files: BuildFiles, local: boolean): Promise<ShippedWorker> => {
  await mkdir(folder, { recursive: true })
  await bundleWorker(folder)
  await writeBuildFiles(folder, files)
  if (local) return { command: [process.execPath, join(folder, workerName)].map(shellWord).join(' ') }
  // The same Node everywhere: tables of Unicode differ between versions, and the documents with them.
  await copyFile(process.execPath, join(folder, 'node'))
  const archive = `${folder}.tar.gz`
  const env = { ...process.env, GZIP: '-1' }
  await promisify(execFile)('tar', ['-czf', archive, '-C', folder, '.'], { env }).catch((error: Error) => {
    throw new SetupError(`Cannot pack the worker for the nodes: ${error.message.split('\n')[0]}`)
  })
  return { command: `./${shippedName}/node ./${shippedName}/${workerName}`, archive: `${archive}#${shippedName}` }
}
