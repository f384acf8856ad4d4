// The files of the repository as text, and what they import. Knows no rule.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, posix, relative } from 'node:path'

/** Paths relative to the root, with forward slashes, to contents. */
export type Tree = ReadonlyMap<string, string>

const textual =
  /\.(ts|tsx|js|mjs|cjs|cpp|h|cu|py|sh|md|json|yaml|yml|txt|cmake|html|css|toml|sql)$|(^|\/)(run|LICENSE|\.gitignore|\.npmrc)$/
const skipped = new Set(['node_modules', 'dist', 'build', 'coverage', 'runs', '.git', '__pycache__'])

/** What set-up makes in src, and git ignores. */
const made = 'src/runs/recipe-types'

/** Tracked files, new ones that git would not ignore, and what set-up made in src; in an unpacked archive, all files. */
export function readTree(root: string): Tree {
  const paths = existsSync(join(root, '.git')) ? [...gitFiles(root), ...walk(root, join(root, made))] : walk(root, root)
  const entries = paths
    .filter((path) => textual.test(path))
    .map((path) => [path, readFileSync(join(root, path), 'utf8')] as const)
  return new Map(entries)
}

function gitFiles(root: string): string[] {
  const output = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    maxBuffer: 2 ** 28,
  })
  return [...new Set(output.toString('utf8').split('\0'))].filter((path) => path !== '' && existsSync(join(root, path)))
}

function walk(root: string, folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder).flatMap((name) => {
    if (skipped.has(name)) return []
    const path = join(folder, name)
    return statSync(path).isDirectory() ? walk(root, path) : [relative(root, path).replaceAll('\\', '/')]
  })
}

export interface Import {
  from: string
  /** Where a relative import leads, as a path of the tree; undefined for packages. */
  to: string | undefined
  specifier: string
  line: number
}

// `from '…'`, `import '…'`, `import('…')`, and workers: `new URL('./x.ts', import.meta.url)`.
const patterns = [
  /\bfrom\s+'([^']+)'/g,
  /\bimport\s+'([^']+)'/g,
  /\bimport\(\s*'([^']+)'\s*\)/g,
  /\bnew URL\(\s*'(\.[^']+\.[tj]s)'\s*,\s*import\.meta\.url/g,
]

export function importsOf(tree: Tree, path: string): Import[] {
  const text = withoutComments(tree.get(path) ?? '')
  return patterns.flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match) => ({
      from: path,
      specifier: match[1],
      to: match[1].startsWith('.') ? posix.normalize(posix.join(posix.dirname(path), match[1])) : undefined,
      line: text.slice(0, match.index).split('\n').length,
    })),
  )
}

/** Line comments and block comments blanked, line numbers kept; strings that hold `//` stay when a colon stands before. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|(?<=^|[\s;{}(),])\/\/[^\n]*/g, (comment) => comment.replace(/[^\n]/g, ' '))
}
