// What models can be asked, by path of the serving API: the fields of the question, the request, and how the answer looks.
import type { ComponentChildren } from 'preact'
import type { LoadedModel, PlaygroundPath } from '../../../src/serving/studio/types/api-types.ts'
import { Bars } from './bars.tsx'
import { EmbeddingMap } from './embedding-map.tsx'
import { MarkedText } from './marked-text.tsx'
import { samplingOf, systemPrompt } from './settings.tsx'

/** What the user has written. */
export interface Question {
  text: string
  /** The text that holds the answer, of extractive models. */
  context: string
}

/** A turn of a chat. */
export interface ChatTurn {
  question: string
  answer: string
}

export interface Mode {
  path: PlaygroundPath
  title: string
  /** Label of the field, and what is in it at first. */
  field: string
  example: string
  /** A second field. */
  context?: { field: string; example: string }
  /** Whether answers are texts that arrive piece by piece. */
  writes: boolean
  /** Whether earlier turns belong to the question. */
  chat?: boolean
  /** @param context maximum tokens of a prompt with its answer */
  request(question: Question, context: number, turns: readonly ChatTurn[]): Record<string, unknown>
  /** The answer of a mode that does not write. */
  view?(body: unknown, question: Question): ComponentChildren
}

/** Texts of the map, one a line. */
const linesOf = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
    .slice(0, maxTexts)

/** Texts that are embedded at most. */
const maxTexts = 200

/** Alternatives of each token. */
const topTokens = 5

interface List<Item> {
  data: Item[]
}

/** The only item of an answer to one text. */
const firstOf = <Item,>(body: unknown): Item => (body as List<Item>).data[0]

const viewClasses = (body: unknown): ComponentChildren => {
  const { value, label, labels, probabilities } = firstOf<{
    value?: number
    label?: string
    labels?: string[]
    probabilities?: Record<string, number>
  }>(body)
  if (probabilities === undefined)
    return (
      <p>
        <strong>{value?.toPrecision(5)}</strong>
      </p>
    )
  const bars = Object.entries(probabilities)
    .map(([name, share]) => ({ name, share, strong: name === label || labels?.includes(name) === true }))
    .sort((a, b) => b.share - a.share)
  return <Bars label="Probability of each class" bars={bars} />
}

const viewMasks = (body: unknown): ComponentChildren => {
  const { filled, masks } = firstOf<{ filled: string; masks: { token: string; probability: number }[][] }>(body)
  return (
    <>
      <p>{filled}</p>
      {masks.map((candidates, i) => (
        <Bars
          key={i}
          label={`Tokens for mask ${i + 1}`}
          bars={candidates.map(({ token, probability }, at) => ({ name: token, share: probability, strong: at === 0 }))}
        />
      ))}
    </>
  )
}

const viewEntities = (body: unknown, { text }: Question): ComponentChildren => {
  const { entities } = firstOf<{ entities: { type: string; text: string; start: number; end: number }[] }>(body)
  return (
    <>
      <MarkedText text={text} spans={entities.map(({ start, end, type }) => ({ start, end, kind: type }))} />
      <p class="muted">{entities.length === 0 ? 'No entity was found.' : `${entities.length} entities`}</p>
    </>
  )
}

const viewAnswer = (body: unknown, { context }: Question): ComponentChildren => {
  const {
    answer,
    no_answer_probability: none,
    alternatives,
  } = firstOf<{
    answer: string
    no_answer_probability: number | null
    alternatives: { answer: string; probability: number }[]
  }>(body)
  const others = [
    ...alternatives.map(({ answer: name, probability: share }) => ({ name, share, strong: name === answer })),
    ...(none === null ? [] : [{ name: '(no answer)', share: none }]),
  ]
  const start = answer === '' ? -1 : context.indexOf(answer)
  const spans = start < 0 ? [] : [{ start, end: start + answer.length, kind: 'answer' }]
  return (
    <>
      <p>{answer === '' ? 'The context has no answer.' : <strong>{answer}</strong>}</p>
      <MarkedText text={context} spans={spans} />
      {others.length > 0 && <Bars label="Further answers" bars={others} />}
    </>
  )
}

const viewMap = (body: unknown, { text }: Question): ComponentChildren => (
  <EmbeddingMap
    texts={linesOf(text)}
    vectors={(body as List<{ embedding: number[] }>).data.map((one) => one.embedding)}
  />
)

const message = (role: string, content: string) => ({ role, content })

/** All modes, in the order in which the page offers them. */
const modes: readonly Mode[] = [
  {
    path: '/v1/chat/completions',
    title: 'Chat',
    field: 'Message',
    example: '',
    writes: true,
    chat: true,
    request: ({ text }, context, turns) => {
      const system = systemPrompt()
      return {
        messages: [
          ...(system === undefined ? [] : [message('system', system)]),
          ...turns.flatMap(({ question, answer }) => [message('user', question), message('assistant', answer)]),
          message('user', text),
        ],
        logprobs: true,
        top_logprobs: topTokens,
        ...samplingOf(context),
      }
    },
  },
  {
    path: '/v1/completions',
    title: 'Completion',
    field: 'Prompt',
    example: 'Once upon a time',
    writes: true,
    request: ({ text }, context) => ({ prompt: text, logprobs: topTokens, ...samplingOf(context) }),
  },
  {
    path: '/v1/fill',
    title: 'Masked words',
    field: 'Text with masks',
    example: '',
    writes: false,
    request: ({ text }) => ({ input: text, top_k: 8 }),
    view: viewMasks,
  },
  {
    path: '/v1/classify',
    title: 'Classes',
    field: 'Text',
    example: '',
    writes: false,
    request: ({ text }) => ({ input: text }),
    view: viewClasses,
  },
  {
    path: '/v1/tokens',
    title: 'Entities',
    field: 'Text',
    example: '',
    writes: false,
    request: ({ text }) => ({ input: text }),
    view: viewEntities,
  },
  {
    path: '/v1/answer',
    title: 'Answers',
    field: 'Question',
    example: '',
    context: { field: 'Context, which holds the answer', example: '' },
    writes: false,
    request: ({ text, context: passage }) => ({ input: { question: text, context: passage } }),
    view: viewAnswer,
  },
  {
    path: '/v1/embeddings',
    title: 'Embeddings',
    field: `Texts, one a line, at most ${maxTexts}`,
    example: 'the cat sleeps\na kitten naps\nthe stock market fell\nshares lost value\nit rains today',
    writes: false,
    request: ({ text }) => ({ input: linesOf(text) }),
    view: viewMap,
  },
]

/** The modes that all of these models have. */
export const modesOf = (models: readonly LoadedModel[]): Mode[] =>
  models.length === 0 ? [] : modes.filter(({ path }) => models.every(({ paths }) => paths.includes(path)))
