// Which paths of the API a model can answer, by its head: the endpoints check it, `/v1/models` lists it, and pages offer it.
import type { HeadType } from '../../models/index.ts'
import { badRequest } from '../http/errors.ts'
import type { ServedModel } from './served-models.ts'

/** Heads of models that write text, where the engine can. */
const writingHeads: readonly HeadType[] = ['causal-lm', 'seq2seq-lm']

/** The head that each of these paths needs. */
const headsByPath = {
  '/v1/fill': 'masked-lm',
  '/v1/classify': 'sequence-classification',
  '/v1/tokens': 'token-classification',
  '/v1/answer': 'question-answering',
} as const satisfies Record<string, HeadType>

/** Whether a model continues texts. */
export const writes = ({ engine, text }: ServedModel): boolean =>
  engine.scheduler !== undefined && writingHeads.includes(text.head)

/** Paths that score pairs of texts: with vectors, or the head where that has one number or two classes. */
const scoringPaths = ['/v1/score', '/v1/rerank']

/** Whether a model has too many classes to score pairs of texts. */
export const hasManyClasses = ({ text: { head, labels } }: ServedModel): boolean =>
  head === headsByPath['/v1/classify'] && labels.length > 2

/** Paths that a model answers; tokenising is left out. */
export const answeredPaths = (model: ServedModel): string[] => {
  const { text, template } = model
  const writing = writes(model)
    ? [...(template === undefined ? [] : ['/v1/chat/completions', '/v1/responses']), '/v1/completions']
    : []
  const byHead = Object.entries(headsByPath).flatMap(([path, head]) => (head === text.head ? [path] : []))
  return [...writing, ...byHead, '/v1/embeddings', ...(hasManyClasses(model) ? [] : scoringPaths)]
}

/** The labels that a model answers with; none for other heads. */
export const answeredLabels = ({ text: { head, labels } }: ServedModel): string[] =>
  head === headsByPath['/v1/classify'] || head === headsByPath['/v1/tokens'] ? [...labels] : []

/** @throws ApiError for a model with another head than the path needs */
export const expectHead = ({ text: { head }, name }: ServedModel, path: keyof typeof headsByPath): void => {
  const wanted = headsByPath[path]
  if (head !== wanted)
    throw badRequest(
      `Expected a model with the head ${wanted}, got \`${name}\` with ${head}.`,
      'model',
      'model_not_supported',
    )
}
