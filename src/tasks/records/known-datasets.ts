// Known data sets: the settings that read their published files.
import type { DatasetDeclaration } from '../task.ts'

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

export const regressionDatasets: Datasets = {
  'sts-b': {
    source: 'arXiv:1708.00055',
    settings: { format: 'tsv', header: false, text: '5', pair: '6', label: '4' },
  },
}

export const tokenDatasets: Datasets = {
  wnut17: {
    source: 'aclanthology.org/W17-4418',
    settings: { format: 'conll' },
  },
  wikigold: {
    source: 'Balasuriya et al. 2009, aclanthology.org/W09-3302',
    settings: { format: 'conll' },
  },
}

export const answerDatasets: Datasets = {
  squad: { source: 'arXiv:1606.05250', settings: { format: 'json', version: '1.1' } },
  'squad-v2': { source: 'arXiv:1806.03822', settings: { format: 'json', version: '2.0' } },
  'covid-qa': {
    source: 'Möller et al. 2020, aclanthology.org/2020.nlpcovid19-acl.18',
    settings: { format: 'json', version: '1.1', onMisplaced: 'nearest' },
  },
}

export const instructionDatasets: Datasets = {
  alpaca: { source: 'Taori et al. 2023 (Stanford Alpaca)', settings: { form: 'columns', output: 'output' } },
  gpteacher: { source: 'github.com/teknium1/GPTeacher', settings: { form: 'columns', output: 'response' } },
  'self-instruct': { source: 'arXiv:2212.10560', settings: { form: 'instances', id: 'id' } },
  'oasst-trees': { source: 'arXiv:2304.07327', settings: { form: 'tree', id: 'message_tree_id' } },
  ultrachat: { source: 'arXiv:2305.14233', settings: { form: 'messages' } },
}

export const preferenceDatasets: Datasets = {
  'hh-rlhf': { source: 'arXiv:2204.05862', settings: { form: 'dialogues' } },
  'dpo-mix': { source: 'github.com/hiyouga/LLaMA-Factory', settings: { form: 'pairs', messages: 'conversations' } },
  ultrafeedback: {
    source: 'arXiv:2310.01377',
    settings: { form: 'scores', prompt: 'instruction', answers: 'completions' },
  },
  'oasst-trees': { source: 'arXiv:2304.07327', settings: { form: 'tree', id: 'message_tree_id' } },
  'kto-mix': { source: 'arXiv:2402.01306', settings: { form: 'ratings' } },
}

export const summaryDatasets: Datasets = {
  scitldr: {
    source: 'arXiv:2004.15011',
    settings: {
      text: 'source',
      summary: 'target',
      id: 'paper_id',
      prompt: 'Summarize this abstract in one sentence.\n\n{text}',
    },
  },
  dialogsum: {
    source: 'arXiv:2105.06762',
    settings: { text: 'dialogue', summary: 'summary', id: 'fname', prompt: 'Summarize this dialogue.\n\n{text}' },
  },
  'mts-dialog': {
    source: 'Ben Abacha et al. 2023, aclanthology.org/2023.eacl-main.168',
    settings: {
      format: 'csv',
      text: 'dialogue',
      summary: 'section_text',
      id: 'ID',
      prompt: 'Summarize this conversation of a doctor and a patient as a section of a clinical note.\n\n{text}',
    },
  },
  opinosis: {
    source: 'Ganesan et al. 2010, aclanthology.org/C10-1039',
    settings: { layout: 'opinosis', prompt: 'Summarize these opinions in one or two sentences.\n\n{text}' },
  },
  'legal-summarization': {
    source: 'Manor and Li 2019, arXiv:1906.00424',
    settings: {
      format: 'json',
      text: 'original_text',
      summary: 'reference_summary',
      id: 'uid',
      prompt: 'Say in plain English what this part of a contract means.\n\n{text}',
    },
  },
  qmsum: {
    source: 'arXiv:2104.05938',
    settings: { layout: 'meetings', prompt: '{query}\n\n{text}' },
  },
}

export const questionDatasets: Datasets = {
  medquad: {
    source: 'Ben Abacha and Demner-Fushman 2019, arXiv:1901.08079',
    settings: { layout: 'medquad' },
  },
  pubmedqa: {
    source: 'arXiv:1909.06146',
    settings: {
      format: 'json',
      question: 'QUESTION',
      context: 'CONTEXTS',
      answer: 'LONG_ANSWER',
      id: 'key',
      prompt: '{context}\n\n{question}',
    },
  },
  gsm8k: {
    source: 'arXiv:2110.14168',
    settings: { format: 'jsonl', question: 'question', answer: 'answer', metrics: ['numericMatch'] },
  },
  svamp: {
    source: 'arXiv:2103.07191',
    settings: {
      format: 'json',
      question: 'Question',
      context: 'Body',
      answer: 'Answer',
      id: 'ID',
      prompt: '{context} {question}',
      metrics: ['numericMatch'],
    },
  },
}
