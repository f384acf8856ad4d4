// Builds the studio's pages from web/ to dist/web, when they have changed.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { digestTree } from './hashes.mjs'
import { SetupFault, say } from './report.mjs'

/** Builds the pages, unless dist/web is up to date. An installed package has dist/, and neither sources nor vite. */
export const buildWeb = async (root) => {
  const source = join(root, 'web')
  if (!existsSync(source) || !existsSync(join(root, 'node_modules', 'vite'))) return
  const out = join(root, 'dist', 'web')
  const stamp = join(root, 'dist', '.web-digest')
  const digest = webDigest(root)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest && existsSync(join(out, 'index.html'))) return
  say('building the pages of the studio')
  const { build } = await import('vite')
  const common = { configFile: false, root: source, base: './', logLevel: 'error' }
  const target = { outDir: out, target: 'es2022', assetsDir: '' }
  try {
    await build({ ...common, build: { ...target, emptyOutDir: true, assetsInlineLimit: 0 } })
    // The same pages as one script and one style sheet, for runs that are saved as one file.
    await build({ ...common, build: { ...target, emptyOutDir: false, cssCodeSplit: false, ...sharedBundle(source) } })
  } catch (error) {
    throw new SetupFault(`the pages of the studio could not be built: ${String(error.message).split('\n')[0]}`)
  }
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, digest)
}

const sharedBundle = (source) => ({
  copyPublicDir: false,
  rollupOptions: {
    input: join(source, 'share.tsx'),
    output: { codeSplitting: false, entryFileNames: 'share.js', assetFileNames: 'share[extname]' },
  },
})

/** The pages import types, and a few functions, of src. */
export const webDigest = (root) =>
  digestTree(root, [
    join(root, 'web'),
    ...['serving/studio', 'core', 'tracking', 'runs/batch-rows'].map((folder) => join(root, 'src', folder)),
  ])
