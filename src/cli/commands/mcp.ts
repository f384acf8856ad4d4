// `tunesmith mcp`: tools for agents over standard input and output. The work is `serveMcp` of src/serving.
import { z } from 'zod'
import { faultText } from '../../core/index.ts'
import { serveMcp } from '../../serving/index.ts'
import { defineCommand } from '../command.ts'
import { switchField } from '../parts/fields.ts'
import { rootsOf, runsArgument } from '../parts/server-flags.ts'

export const mcp = defineCommand({
  name: 'mcp',
  summary: 'Give agents tools by the Model Context Protocol: runs, metrics, plans, evaluations and models',
  example: 'tunesmith mcp runs',
  notes: [
    'An agent starts this command itself: add it to the MCP servers in the settings of the agent, as docs/agents.md shows.',
    'Messages go over standard input and output. The command ends with standard input, or at Ctrl-C.',
  ],
  stopping: 'Closing the connection',
  arguments: [runsArgument],
  options: z.strictObject({
    allowStart: switchField('let the agent start and stop runs'),
  }),
  async run({ allowStart }, { runs }, { signal, warn }) {
    const roots = rootsOf(runs)
    const ended = new Promise<void>((resolve) => {
      process.stdin.once('end', resolve)
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
    const server = await serveMcp({ roots, allowStart }, { onError: (error) => warn(faultText(error)) })
    await ended
    await server.close()
    return { tools: server.tools }
  },
  render: () => '',
})
