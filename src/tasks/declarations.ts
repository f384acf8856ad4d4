// Known data sets: the settings that fit their files. Knows no task's code.
import type { DatasetDeclaration } from './task.ts'

type Datasets = { [name: string]: DatasetDeclaration }

export const classificationDatasets: Datasets = {
  sst2: {
    source: 'arXiv:1804.07461 (GLUE), Socher et al. 2013',
    settings: { format: 'tsv', text: 'sentence', label: 'label', labels: ['negative', 'positive'] },
  },
  imdb: {
    source: 'Maas et al. 2011, aclanthology.org/P11-1015',
    settings: { format: 'folders', folders: ['neg', 'pos'], id: 'id', labels: ['neg', 'pos'] },
  },
  cola: {
    source: 'arXiv:1805.12471',
    settings: { format: 'tsv', header: false, text: '3', label: '1', labels: ['unacceptable', 'acceptable'] },
  },
  rte: {
    source: 'arXiv:1804.07461 (GLUE)',
    settings: {
      format: 'tsv',
      text: 'sentence1',
      pair: 'sentence2',
      label: 'label',
      id: 'index',
      labels: ['entailment', 'not_entailment'],
    },
  },
  pubmedqa: {
    source: 'arXiv:1909.06146',
    settings: {
      format: 'json',
      text: 'QUESTION',
      pair: 'CONTEXTS',
      label: 'final_decision',
      id: 'key',
      labels: ['yes', 'no', 'maybe'],
    },
  },
}
