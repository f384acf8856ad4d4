// Makes the Python environment that benchmarks compare against: `node bench/peers/setup.mjs`. Optional; users do not need it.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
const folder = join(cache, 'tunesmith', 'peers-venv')
const packages = [
  'torch>=2.6,<2.14',
  'transformers>=5,<6',
  'peft',
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
    console.error(
      `${command} failed${error ? ` (${error.message})` : ''}. Install Python 3.10 or newer with venv and pip.`,
    )
    process.exit(1)
  }
}
if (!existsSync(join(folder, 'bin', 'python'))) run('python3', ['-m', 'venv', folder])
run(join(folder, 'bin', 'pip'), ['install', '--quiet', ...packages])
console.log(`Peers are ready. Benchmarks find them by themselves, or set TUNESMITH_PEERS_PYTHON.`)
