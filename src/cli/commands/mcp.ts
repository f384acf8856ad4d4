// `tunesmith mcp`: tools for agents over standard input and output. The work is `serveMcp` of src/serving.
import { z } from 'zod'
import { serveMcp } from '../../serving/index.ts'
import { defineCommand } from '../command.ts'

export const mcp = defineCommand({
  name: 'mcp',
  summary: 'Give agents tools by the Model Context Protocol: runs, metrics, plans, evaluations and models',
  example: 'tunesmith mcp runs',
  notes: [
    'An agent starts this command itself: name it in its settings, with the words of the example. Standard output has the messages of',
    'the protocol, one a line. The end of standard input, or Ctrl-C, ends it.',
  ],
  stopping: 'Closing the connection',
  arguments: [
    { name: 'runs', description: 'folders of runs, or runs (default: runs)', variadic: true, optional: true },
  ],
  options: z.strictObject({
    allowStart: z.boolean().default(false).describe('let the agent start and stop runs'),
  }),
  async run({ allowStart }, { runs }, { signal, warn }) {
    const roots = runs === undefined || runs.length === 0 ? ['runs'] : [runs].flat()
    const ended = new Promise<void>((resolve) => {
      process.stdin.once('end', resolve)
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
    const server = await serveMcp(
      { roots, allowStart },
      { onError: (error) => warn(error instanceof Error ? (error.stack ?? error.message) : String(error)) },
    )
    await ended
    await server.close()
    return { tools: server.tools }
  },
  render: () => '',
})
