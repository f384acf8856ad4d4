// dist/: the compiled form of src/, which the installed command and the package's exports use. Made only when src changed.
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { digestTree, listFiles } from './hashes.mjs'
import { runProgram } from './programs.mjs'
import { say, warn } from './report.mjs'

const notShipped = (path) => /\.test\.ts$|\/(fixtures|golden)\//.test(path)

export async function compileTypescript(root) {
  const source = join(root, 'src')
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  // An installed package ships dist/ and has neither sources nor compiler.
  if (!existsSync(source) || !existsSync(compiler)) return
  const dist = join(root, 'dist')
  const stamp = join(dist, '.source-digest')
  const digest = sourceDigest(root)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return
  say('compiling src to dist')
  removeOrphans(source, dist)
  const { code, output } = await runProgram(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json')])
  if (code !== 0) {
    // tsc writes the JavaScript all the same; the type check of `npm test` is the place to fail.
    const faults = output.split('\n').filter((line) => line.includes('error TS'))
    warn(`${faults.length} type faults in src, the first: ${faults[0] ?? output.trim().split('\n')[0]}`)
  }
  copyAssets(source, dist)
  writeFileSync(stamp, digest)
}

export function sourceDigest(root) {
  return digestTree(
    root,
    [join(root, 'src'), join(root, 'tsconfig.json'), join(root, 'tsconfig.build.json')],
    (path) => !notShipped(path),
  )
}

function removeOrphans(source, dist) {
  for (const file of listFiles([dist], (path) => path.endsWith('.js'))) {
    const base = relative(dist, file).replace(/\.js$/, '')
    if (existsSync(join(source, `${base}.ts`)) || existsSync(join(source, `${base}.js`))) continue
    for (const end of ['.js', '.js.map', '.d.ts']) rmSync(join(dist, base + end), { force: true })
    // tsc believes its own record of what is written, so it must forget it.
    rmSync(join(dist, '.tsbuildinfo'), { force: true })
  }
}

/** Data files beside the code: vocabularies, SQL, small tables. */
function copyAssets(source, dist) {
  for (const file of listFiles([source], (path) => !path.endsWith('.ts') && !notShipped(path))) {
    const target = join(dist, relative(source, file))
    mkdirSync(dirname(target), { recursive: true })
    copyFileSync(file, target)
  }
}
