// Makes the Python environment that benchmarks compare against: `node bench/peers/setup.mjs`. Optional; users do not need it.
// With `--llama-server` it also builds llama.cpp's server (a quarter of an hour on two cores) from the sources in the PyPI package
// llama-cpp-python, as PyPI and npm have its libraries only; `npm run bench -- serving` finds it.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { availableParallelism, homedir, tmpdir } from 'node:os'
import { join } from 'node:path'

const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
const folder = join(cache, 'tunesmith', 'peers-venv')
const packages = [
  'torch>=2.6,<2.14',
  'transformers>=5,<6',
  'peft',
  'bitsandbytes',
  'trl',
  // Reads the GGUF of SmolLM2.
  'gguf',
  'datasets',
  'accelerate',
  'tokenizers',
  'scikit-learn',
  'mwparserfromhell',
  'wikiextractor',
  'resiliparse',
  'trafilatura',
  'datasketch',
  // Scores of summaries.
  'rouge-score==0.1.2',
]

const run = (command, args) => {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit' })
  if (status !== 0) {
    const needed = command === 'cmake' ? 'CMake and a C++ compiler' : 'Python 3.10 or newer with venv and pip'
    console.error(`${command} failed${error ? ` (${error.message})` : ''}. Install ${needed}.`)
    process.exit(1)
  }
}
if (!existsSync(join(folder, 'bin', 'python'))) run('python3', ['-m', 'venv', folder])
run(join(folder, 'bin', 'pip'), ['install', '--quiet', ...packages])

/** Builds the server without its pages and without HTTPS, for this processor. */
const buildLlamaServer = (target) => {
  const work = mkdtempSync(join(tmpdir(), 'tunesmith-llama-'))
  try {
    const wanted = ['--no-deps', '--no-binary', 'llama-cpp-python', 'llama-cpp-python==0.3.36', '-d', work]
    run(join(folder, 'bin', 'pip'), ['download', '--quiet', ...wanted])
    const archive = readdirSync(work).find((file) => file.endsWith('.tar.gz'))
    run('tar', ['xzf', join(work, archive), '-C', work])
    const source = join(work, archive.replace(/\.tar\.gz$/, ''), 'vendor', 'llama.cpp')
    const off = ['BUILD_SHARED_LIBS', 'LLAMA_BUILD_TESTS', 'LLAMA_BUILD_EXAMPLES', 'LLAMA_BUILD_APP', 'LLAMA_BUILD_UI']
    const flags = [...off, 'LLAMA_USE_PREBUILT_UI', 'LLAMA_OPENSSL'].map((name) => `-D${name}=OFF`)
    const build = join(work, 'build')
    run('cmake', ['-S', source, '-B', build, '-DCMAKE_BUILD_TYPE=Release', ...flags])
    run('cmake', ['--build', build, '--target', 'llama-server', '-j', String(availableParallelism())])
    mkdirSync(join(target, '..'), { recursive: true })
    copyFileSync(join(build, 'bin', 'llama-server'), target)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

const llamaServer = join(cache, 'tunesmith', 'llama.cpp', 'bin', 'llama-server')
if (process.argv.includes('--llama-server') && !existsSync(llamaServer)) buildLlamaServer(llamaServer)
console.log(`Peers are ready. Benchmarks find them by themselves, or set TUNESMITH_PEERS_PYTHON.`)
