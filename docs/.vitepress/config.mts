// The documentation site: `npm run docs` builds it into site/.
import { defineConfig } from 'vitepress'

const page = (text: string, link: string) => ({ text, link })

export default defineConfig({
  title: 'Tunesmith',
  description: 'Pretrain and fine-tune language models in TypeScript, on libtorch, with no Python at run time',
  outDir: '../site',
  cleanUrls: false,
  lastUpdated: false,
  rewrites: {
    'README.md': 'index.md',
    'results/README.md': 'results/index.md',
    'decisions/README.md': 'decisions/index.md',
  },
  themeConfig: {
    search: { provider: 'local' },
    nav: [page('Tutorial', '/tutorial'), page('Commands', '/reference/commands/'), page('API', '/reference/api/')],
    sidebar: [
      {
        text: 'Start',
        items: [
          page('Overview', '/'),
          page('Installation', '/installation'),
          page('Tutorial', '/tutorial'),
          page('Troubleshooting', '/troubleshooting'),
        ],
      },
      {
        text: 'Guides',
        items: [
          page('Corpus', '/corpus'),
          page('Tokenizers and shards', '/tokenizers'),
          page('Models', '/models'),
          page('Pretraining', '/pretraining'),
          page('Fine-tuning', '/fine-tuning'),
          page('Alignment', '/alignment'),
          page('Evaluation', '/evaluation'),
          page('Inference and evaluation', '/inference'),
          page('Serving', '/serving'),
          page('Agents', '/agents'),
          page('Exporting', '/exporting'),
          page('Studio', '/studio'),
          page('Planning', '/planning'),
          page('Several processes and clusters', '/clusters'),
          page('Recipes', '/recipes'),
          page('The run folder', '/run-folder'),
          page('Tensors', '/tensors'),
          page('Extending', '/extending'),
        ],
      },
      {
        text: 'Coming from',
        items: [
          page('Hugging Face Trainer', '/coming-from/trainer'),
          page('PEFT', '/coming-from/peft'),
          page('TRL', '/coming-from/trl'),
          page('sentence-transformers', '/coming-from/sentence-transformers'),
          page('transformers.js', '/coming-from/transformers-js'),
        ],
      },
      {
        text: 'Evidence',
        items: [
          page('Results', '/results/'),
          page('Benchmarks', '/benchmarks'),
          page('Decisions', '/decisions/'),
          page('Known limitations', '/limitations'),
        ],
      },
      {
        text: 'Inside',
        items: [
          page('The engine', '/internals/engine'),
          page('Training', '/internals/training'),
          page('Generation and serving', '/internals/generation-and-serving'),
          page('What the tests cost', '/internals/test-costs'),
          page('Glossary', '/glossary'),
        ],
      },
    ],
  },
})
