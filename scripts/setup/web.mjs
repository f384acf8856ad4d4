// Builds the studio's pages from web/ to dist/web, when they have changed.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { digestTree } from './hashes.mjs'
import { withLock } from './lock.mjs'
import { SetupFault, say } from './report.mjs'

/** Builds the pages, unless dist/web is up to date. An installed package has dist/, and neither sources nor vite. */
export const buildWeb = async (root) => {
  const source = join(root, 'web')
  if (!existsSync(source) || !existsSync(join(root, 'node_modules', 'vite'))) return
  const digest = webDigest(root)
  if (isBuilt(root, digest)) return
  mkdirSync(join(root, 'dist'), { recursive: true })
  // Tests in two processes may find the pages out of date at the same time.
  await withLock(join(root, 'dist', '.web-lock'), async () => {
    if (!isBuilt(root, digest)) await build(root, source, digest)
  })
}

const outOf = (root) => join(root, 'dist', 'web')
const stampOf = (root) => join(root, 'dist', '.web-digest')

const isBuilt = (root, digest) =>
  existsSync(stampOf(root)) &&
  readFileSync(stampOf(root), 'utf8') === digest &&
  existsSync(join(outOf(root), 'index.html'))

const build = async (root, source, digest) => {
  say('building the pages of the studio')
  const { build: bundle } = await import('vite')
  const common = { configFile: false, root: source, base: './', logLevel: 'error' }
  const target = { outDir: outOf(root), target: 'es2022', assetsDir: '' }
  try {
    await bundle({
      ...common,
      plugins: [preloadFirstPage],
      build: { ...target, emptyOutDir: true, assetsInlineLimit: 0, rollupOptions: { output: sharedParts } },
    })
    // The same pages as one script and one style sheet, for runs that are saved as one file.
    await bundle({ ...common, build: { ...target, emptyOutDir: false, cssCodeSplit: false, ...sharedBundle(source) } })
    // The page of exported specialists; transformers.js is copied beside it by the export.
    await bundle({
      ...common,
      build: { ...target, emptyOutDir: false, cssCodeSplit: false, ...specialistBundle(source) },
    })
  } catch (error) {
    throw new SetupFault(`the pages of the studio could not be built: ${String(error.message).split('\n')[0]}`)
  }
  writeFileSync(stampOf(root), digest)
}

const chartFiles = /[\\/](uplot[\\/]|web[\\/]parts[\\/](chart|smoothing))/

/** What several pages use is two files, and not a dozen small ones, for which a browser has six connections. */
const sharedParts = {
  codeSplitting: {
    groups: [
      { name: 'parts', test: (id) => !chartFiles.test(id), minShareCount: 2, minSize: 0, priority: 2 },
      { name: 'charts', test: chartFiles, minShareCount: 2, minSize: 0, priority: 1 },
    ],
  },
}

/** Lets a browser load the table of runs together with the main script, which imports it only once it runs. */
const preloadFirstPage = {
  name: 'preload-first-page',
  transformIndexHtml: {
    order: 'post',
    handler(html, { bundle }) {
      const files = Object.values(bundle ?? {})
      const page = files.find(({ facadeModuleId }) => facadeModuleId?.endsWith('/pages/runs/page.tsx'))
      if (page === undefined) throw new Error('The page of the runs is no file of its own.')
      const missing = [page.fileName, ...page.imports].filter((file) => !html.includes(file))
      return missing.map((file) => ({
        tag: 'link',
        attrs: { rel: 'modulepreload', href: `./${file}` },
        injectTo: 'head',
      }))
    },
  },
}

const sharedBundle = (source) => ({
  copyPublicDir: false,
  rollupOptions: {
    input: join(source, 'share.tsx'),
    output: { codeSplitting: false, entryFileNames: 'share.js', assetFileNames: 'share[extname]' },
  },
})

const specialistBundle = (source) => ({
  copyPublicDir: false,
  rollupOptions: {
    input: join(source, 'specialist', 'main.ts'),
    external: ['@huggingface/transformers'],
    output: {
      codeSplitting: false,
      entryFileNames: 'specialist.js',
      assetFileNames: 'specialist[extname]',
      paths: { '@huggingface/transformers': './transformers.min.js' },
    },
  },
})

/** The pages import types, and a few functions, of src. */
export const webDigest = (root) =>
  digestTree(root, [
    join(root, 'web'),
    join(root, 'package-lock.json'),
    ...['serving/studio', 'core', 'tracking', 'runs/batch-rows'].map((folder) => join(root, 'src', folder)),
  ])
