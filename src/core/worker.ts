// Starts a worker thread or a process from a TypeScript source in the repository or from its built JavaScript, whichever is there.
import { type ChildProcess, type ForkOptions, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker, type WorkerOptions } from 'node:worker_threads'

/**
 * Starts the worker file at `url`. Name it with `.ts` (`new URL('./count-worker.ts', import.meta.url)`): in a built
 * package the `.js` beside it is taken.
 */
export const startWorker = (url: URL, options: WorkerOptions = {}): Worker => {
  const file = resolveWorkerFile(url)
  if (!file.pathname.endsWith('.ts')) return new Worker(file, options)
  // tsx's --import hook is inert in workers of Node 20, so the worker registers it itself before it loads the file.
  const api = import.meta.resolve('tsx/esm/api')
  const boot = `import(${JSON.stringify(api)}).then((tsx) => { tsx.register(); return import(${JSON.stringify(file.href)}) })`
  return new Worker(boot, { execArgv: [], ...options, eval: true })
}

/** Starts the file at `url`, named as for `startWorker`, as a process that exchanges messages with this one, NaN and all. */
export const startProcess = (url: URL, options: ForkOptions = {}): ChildProcess => {
  const file = resolveWorkerFile(url)
  const source = file.pathname.endsWith('.ts') ? { execArgv: ['--import', import.meta.resolve('tsx')] } : {}
  return fork(file, { serialization: 'advanced', ...source, ...options })
}

const resolveWorkerFile = (url: URL): URL => {
  if (existsSync(fileURLToPath(url))) return url
  const other = new URL(url.href.endsWith('.ts') ? url.href.replace(/\.ts$/, '.js') : url.href.replace(/\.js$/, '.ts'))
  if (existsSync(fileURLToPath(other))) return other
  throw new Error(`Expected a worker file at \`${fileURLToPath(url)}\`, got nothing there. Build the package again.`)
}
