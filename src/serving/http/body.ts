// The JSON body of a request: its size is limited while it arrives, then UTF-8, JSON and the schema are checked in turn.
import type { z } from 'zod'
import { ConfigError, parseConfig } from '../../core/index.ts'
import { ApiError, badRequest } from './errors.ts'

const tooLarge = (limit: number): ApiError =>
  new ApiError(413, `Expected a body of at most ${limit} bytes. Send less text in one request.`, {
    code: 'request_too_large',
    headers: { connection: 'close' },
  })

/** The body of a request. @throws ApiError for one that is too large, or ends early */
export const readBytes = async (request: Request, limit: number): Promise<Uint8Array> => {
  const declared = Number(request.headers.get('content-length') ?? 0)
  if (declared > limit) throw tooLarge(limit)
  const early = () => {
    throw badRequest('The body ended early.')
  }
  // Servers read as many bytes as are declared, which takes less time whole than through a stream.
  if (declared > 0) {
    const whole = new Uint8Array(await request.arrayBuffer().catch(early))
    if (whole.byteLength > limit) throw tooLarge(limit)
    return whole
  }
  const parts: Uint8Array[] = []
  let size = 0
  const reader = request.body?.getReader()
  while (reader !== undefined) {
    const { done, value } = await reader.read().catch(early)
    if (done) break
    size += value.byteLength
    if (size > limit) {
      await reader.cancel().catch(() => undefined)
      throw tooLarge(limit)
    }
    parts.push(value)
  }
  return Buffer.concat(parts)
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** @throws ApiError for a body that is too large, no JSON or no UTF-8 */
export const readJson = async (request: Request, limit: number): Promise<unknown> => {
  // Another type would let any web page post here without asking the browser first.
  const type = request.headers.get('content-type') ?? ''
  if (!/^application\/json\s*(;|$)/i.test(type))
    throw new ApiError(415, `Expected the header \`content-type: application/json\`, got "${type.slice(0, 80)}".`)
  const bytes = await readBytes(request, limit)
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    throw badRequest(
      'Expected UTF-8 in the body, got other bytes. Encode the text as UTF-8.',
      undefined,
      'invalid_utf8',
    )
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw badRequest(`Expected JSON in the body, got ${(error as Error).message}.`, undefined, 'invalid_json')
  }
}

/** The path of a fault, as `messages[0].content`. */
const pathOf = (path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : `${text}${text === '' ? '' : '.'}${String(key)}`),
    '',
  )

/** Fields of OpenAI that are not served, by name, with the reason. */
export type UnsupportedFields = Readonly<Record<string, string>>

/**
 * Checks a body.
 * @throws ApiError that names the first field at fault, with a suggestion for one that is unknown
 */
export const checkBody = <Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  unsupported: UnsupportedFields = {},
): z.output<Schema> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badRequest(`Expected a JSON object as the body, got ${Array.isArray(value) ? 'a list' : String(value)}.`)
  const fields: Record<string, unknown> = { ...value }
  for (const [field, reason] of Object.entries(unsupported)) {
    if (fields[field] != null)
      throw badRequest(`\`${field}\` is not supported: ${reason}`, field, 'unsupported_parameter')
    // Clients send null for what is not set.
    delete fields[field]
  }
  try {
    return parseConfig(schema, fields, (path) => pathOf(path) || 'the request')
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const issue = schema.safeParse(fields).error?.issues[0]
    const key = issue?.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0]] : (issue?.path ?? [])
    throw badRequest(
      error.message,
      pathOf(key) || undefined,
      issue?.code === 'unrecognized_keys' ? 'unknown_parameter' : undefined,
    )
  }
}
