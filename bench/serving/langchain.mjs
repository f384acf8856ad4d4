// LangChain.js against a server, in a folder that has its packages: `node langchain.mjs http://127.0.0.1:8080/v1`.
import assert from 'node:assert/strict'
import { ChatOpenAI, OpenAI, OpenAIEmbeddings } from '@langchain/openai'
import { z } from 'zod'

const [, , baseURL] = process.argv
const common = { model: 'base', apiKey: 'none', maxRetries: 0, configuration: { baseURL } }
const show = (what) => console.log(`LangChain.js: ${what}`)

const chat = new ChatOpenAI({ ...common, temperature: 0, maxTokens: 12, streamUsage: true })
const answer = await chat.invoke('Where is the ship?')
assert.equal(answer.usage_metadata.output_tokens, 12)
show('a text with its usage')

let streamed = ''
for await (const { content } of await chat.stream('Where is the ship?')) streamed += content
assert.equal(streamed, answer.content)
show('the same text as a stream')

const schema = z.object({ port: z.enum(['Köln', 'sea']), ships: z.array(z.boolean()).max(2) })
const long = new ChatOpenAI({ ...common, temperature: 0, maxTokens: 200 })
const object = await long.withStructuredOutput(schema, { method: 'jsonSchema', name: 'answer' }).invoke('Which port?')
schema.parse(object)
show(`an object of a schema: ${JSON.stringify(object)}`)

const sail = { name: 'sail', description: 'Sail to a port', schema: z.object({ port: z.enum(['Köln', 'sea']) }) }
const called = await long.bindTools([sail], { tool_choice: 'required' }).invoke('Sail.')
assert.equal(called.tool_calls[0].name, 'sail')
show(`a tool call: ${JSON.stringify(called.tool_calls[0].args)}`)

const completion = await new OpenAI({ ...common, temperature: 0, maxTokens: 12 }).invoke('The old ship')
assert.ok(completion.length > 0)
show('a completion')

const vectors = await new OpenAIEmbeddings(common).embedDocuments(['a ship', 'the sea'])
assert.equal(vectors.length, 2)
show('vectors')

await assert.rejects(new ChatOpenAI({ ...common, model: 'nobody' }).invoke('x'), /does not exist/)
show('the message of an error')
