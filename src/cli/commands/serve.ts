// `tunesmith serve`: models behind an HTTP port, in OpenAI's form. The work is `createServer` of src/serving.
import { z } from 'zod'
import { faultText } from '../../core/index.ts'
import { speculationFields } from '../../inference/index.ts'
import { createServer, type Telemetry } from '../../serving/index.ts'
import { defineCommand } from '../command.ts'
import { countField, textField, textsField } from '../parts/fields.ts'
import { loadHooks, modelFields, taskField } from '../parts/model-flags.ts'
import { namedFolders, readToken, untilStopped } from '../parts/server-flags.ts'

const mebibyte = 2 ** 20

/** The API of OpenTelemetry where the user has it: without a provider that is registered, its spans cost nothing. */
const findTelemetry = async (): Promise<Telemetry | undefined> => {
  // No dependency of this package, so that its type is not known.
  const name = '@opentelemetry/api'
  return (await import(name).catch(() => undefined)) as Telemetry | undefined
}

export const serve = defineCommand({
  name: 'serve',
  summary: "Serve a model and its specialists over HTTP, in the form of OpenAI's API",
  example: 'tunesmith serve --model runs/gpt --specialist support=runs/support --port 8080',
  notes: ['Press Ctrl-C to stop: running requests finish first.'],
  stopping: 'Finishing the running requests',
  options: z.strictObject({
    ...modelFields,
    task: taskField,
    name: textField("name of the model in requests (default: its folder's name, or the Hub id)"),
    specialist: textsField(
      'specialist as NAME=RUN: a run, an adapter, a feature-based specialist, a whole model, or run:FOLDER@STEP for a checkpoint ' +
        '(run:FOLDER follows the newest model of a run that trains; run:FOLDER@live asks the run itself, if it was started with --ui)',
    ).meta({ commas: false }),
    port: z.int().min(0).max(65_535).default(8080).describe('port to listen on; 0 takes one that is free'),
    host: z.string().default('127.0.0.1').describe('address to listen on; any but a loopback address needs a token'),
    tokenFile: textField('file with the token that requests must have'),
    allowedHost: z
      .array(z.string())
      .optional()
      .describe(
        'host names that requests may be sent to (default: those of the loopback interface, if it listens there)',
      ),
    adapterFolder: textField(
      'folder of adapters that requests may load and remove while the server runs (default: none)',
    ),
    watch: textField(
      'folder of adapters that are served by the names of their folders while they come, change and go (default: none)',
    ),
    template: textField('chat template for a model without one: a preset or Jinja source'),
    dtype: z.enum(['float32', 'bfloat16']).optional().describe('dtype of the weights in memory'),
    context: countField('maximum tokens of a prompt with its completion (default: the context length of the model)'),
    ...speculationFields,
    maxRows: z.int().positive().default(16).describe('maximum number of texts that are generated together'),
    maxWaiting: z
      .int()
      .nonnegative()
      .default(256)
      .describe('maximum number of texts that wait; further requests get status 429'),
    maxNewTokens: countField('maximum number of new tokens of a text (default: the context)'),
    prefixCache: z.int().nonnegative().default(256).describe('memory for prompts that return, in MiB (0: none)'),
    packedWeights: z
      .int()
      .nonnegative()
      .optional()
      .describe(
        'memory for float32 matrices and blocks in the layout of the kernels, which computes few texts faster, in MiB ' +
          '(default: a quarter of the memory; 0: none)',
      ),
    memory: countField('memory for weights that are not mapped, caches and computation, in MiB (default: no limit)'),
    requestSeconds: z.number().positive().default(600).describe('maximum time of a request'),
    drainSeconds: z.number().nonnegative().default(30).describe('time for running requests when the server stops'),
  }),
  async run(
    {
      use: _,
      tokenFile,
      specialist,
      allowedHost,
      prefixCache,
      packedWeights,
      memory,
      watch,
      promptLookup,
      draftModel,
      draftTokens,
      ...options
    },
    _args,
    context,
  ) {
    const { signal, log } = context
    const token = await readToken(tokenFile)
    const server = await createServer(
      {
        ...options,
        // The process is that of this command alone.
        replaceGlobals: true,
        token,
        allowedHosts: allowedHost,
        watchFolder: watch,
        speculation: { promptLookup, draftModel, draftTokens },
        specialists: namedFolders(specialist, '--specialist'),
        prefixCacheBytes: prefixCache * mebibyte,
        memoryBytes: memory === undefined ? undefined : memory * mebibyte,
        packedWeightBytes: packedWeights === undefined ? undefined : packedWeights * mebibyte,
      },
      {
        ...loadHooks(context),
        telemetry: await findTelemetry(),
        onError: (error) => context.warn(faultText(error)),
      },
    )
    const { url, port, service } = server
    const models = service.models.names
    if (context.json) context.emit({ url, models })
    log(`Serving ${models.join(', ')} on ${url}. Press Ctrl-C to stop.`)
    await untilStopped(signal)
    const open = service.openRequests
    if (open > 0) log(`Finishing ${open} ${open === 1 ? 'request' : 'requests'} …`)
    await server.close()
    return { url, port, models }
  },
  render: () => '',
})
