// The Vercel AI SDK against a server, in a folder that has its packages: `node ai-sdk.mjs http://127.0.0.1:8080/v1`.
import assert from 'node:assert/strict'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { embedMany, generateObject, generateText, streamText, tool } from 'ai'
import { z } from 'zod'

const provider = createOpenAICompatible({
  name: 'tunesmith',
  baseURL: process.argv[2],
  supportsStructuredOutputs: true,
  includeUsage: true,
})
const model = provider('base')
const settings = { model, prompt: 'Where is the ship?', seed: 1, maxOutputTokens: 12 }
const show = (what) => console.log(`AI SDK: ${what}`)

const { text, finishReason, usage } = await generateText(settings)
assert.equal(finishReason, 'length')
assert.equal(usage.outputTokens, 12)
show('a text with its usage')

const stream = streamText(settings)
let streamed = ''
for await (const piece of stream.textStream) streamed += piece
assert.equal(streamed, text)
assert.equal(await stream.finishReason, 'length')
assert.equal((await stream.usage).outputTokens, 12)
show('the same text as a stream')

const schema = z.object({ port: z.enum(['Köln', 'sea']), ships: z.array(z.boolean()).max(2) })
const { object } = await generateObject({ ...settings, schema, maxOutputTokens: 200 })
schema.parse(object)
show(`an object of a schema: ${JSON.stringify(object)}`)

const tools = {
  sail: tool({ description: 'Sail to a port', inputSchema: z.object({ port: z.enum(['Köln', 'sea']) }) }),
}
const called = await generateText({ ...settings, tools, toolChoice: 'required', maxOutputTokens: 200 })
assert.equal(called.toolCalls[0].toolName, 'sail')
assert.equal(called.finishReason, 'tool-calls')
show(`a tool call: ${JSON.stringify(called.toolCalls[0].input)}`)

const { embeddings } = await embedMany({ model: provider.embeddingModel('base'), values: ['a ship', 'the sea'] })
assert.equal(embeddings.length, 2)
assert.ok(embeddings[0].every(Number.isFinite))
show('vectors')

await assert.rejects(generateText({ ...settings, model: provider('nobody'), maxRetries: 0 }), /does not exist/)
show('the message of an error')
