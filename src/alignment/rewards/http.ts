// Rewards from a server: answers are posted as JSON, numbers come back.
import { z } from 'zod'
import { fetchFault, isPassingStatus, show } from '../../core/index.ts'
import { defineReward, RewardError, type RewardSample } from './reward.ts'

/** Characters of an answer of the server that are read. */
const maxResponse = 16 << 20

/** A sample as the server gets it. Token ids are those of the policy, which the server need not know. */
const body = (samples: readonly RewardSample[]) =>
  JSON.stringify(
    {
      samples: samples.map(({ prompt, completion, record, finishReason, episode }) => ({
        id: record.id,
        prompt,
        completion,
        reference: record.reference,
        fields: record.fields,
        finishReason,
        messages: episode?.messages,
      })),
    },
    // Parquet has integers that JSON numbers cannot hold.
    (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
  )

/** The response as text, up to a limit. */
const readText = async (response: Response, url: string): Promise<string> => {
  const decoder = new TextDecoder()
  let text = ''
  for await (const piece of response.body ?? []) {
    text += decoder.decode(piece, { stream: true })
    if (text.length > maxResponse)
      throw new RewardError(`Expected at most ${maxResponse} characters of rewards from ${url}, got more.`, {
        retry: false,
      })
  }
  return text + decoder.decode()
}

/** The list of rewards in a response; its values are checked where all rewards are. @throws RewardError */
const rewardsIn = (text: string, url: string): (number | null)[] => {
  const refuse = (got: string): never => {
    throw new RewardError(
      `Expected a list of numbers, or an object with such a list as \`rewards\`, from ${url}, got ${got}. Answer with { "rewards": [0.5, …] }.`,
    )
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return refuse(show(text))
  }
  const list: unknown = typeof value === 'object' && value !== null && 'rewards' in value ? value.rewards : value
  return Array.isArray(list) ? list : refuse(show(value))
}

export const http = defineReward({
  type: 'http',
  source: 'the remote reward model of OpenRLHF',
  summary: 'Rewards from a server that gets answers as JSON.',
  config: z.strictObject({
    url: z.url({ protocol: /^https?$/ }).describe('address that answers are posted to'),
    headers: z
      .record(z.string(), z.string())
      .default({})
      .describe(
        'HTTP headers; $NAME in a value is replaced by that environment variable, so that secrets stay out of recipes',
      ),
  }),
  cached: true,
  limits: { attempts: 3, samplesPerCall: 64, concurrency: 4 },
  open({ url, headers }) {
    const sent = Object.entries(headers).map(([name, value]): [string, string] => [
      name,
      value.replace(/\$([A-Za-z_]\w*)/g, (_, variable: string) => {
        const found = process.env[variable]
        if (found !== undefined) return found
        throw new RewardError(
          `The header ${name} of the reward \`http\` needs the environment variable ${variable}: set it.`,
          { retry: false },
        )
      }),
    ])
    return {
      async score(samples, { signal }) {
        let response: Response
        let text: string
        try {
          response = await fetch(url, {
            method: 'POST',
            headers: [['content-type', 'application/json'], ...sent],
            body: body(samples),
            signal,
          })
          text = await readText(response, url)
        } catch (error) {
          if (signal.aborted || error instanceof RewardError) throw error
          throw new RewardError(
            `Expected rewards from ${url}, got no answer: ${fetchFault(error)}. Start the server, or check \`url\`.`,
          )
        }
        if (!response.ok)
          throw new RewardError(
            `Expected rewards from ${url}, got status ${response.status} ${response.statusText}: ${show(text)}`,
            { retry: isPassingStatus(response.status) },
          )
        return rewardsIn(text, url)
      },
    }
  },
})
