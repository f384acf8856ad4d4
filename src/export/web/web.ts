// The target `web`: a folder of static files whose page runs the model in the browser, through transformers.js. Nothing is
// loaded from anywhere else, and no server computes.
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { ConfigError, exists, installCall, packageRoot, SetupError, setupCall } from '../../core/index.ts'
import { generationToHf } from '../../generation/index.ts'
import type { HeadType } from '../../models/index.ts'
import { escapeHtml } from '../../tracking/index.ts'
import type { ExportSource, ExportTarget } from '../export-target.ts'
import { onnx } from '../onnx/onnx.ts'
import type { SpecialistFacts, WebPipeline } from './specialist-facts.ts'

/** transformers.js's names of the number formats. */
const variants = ['fp32', 'fp16', 'q8', 'q4']

/** The name among the formats of the target `onnx`, where fp32 has none. */
const onnxVariant = (variant: string): string => (variant === 'fp32' ? '' : variant)

/** What the page does with each head. */
const pipelines: Partial<Record<HeadType, WebPipeline>> = {
  'sequence-classification': 'text-classification',
  'token-classification': 'token-classification',
  'question-answering': 'question-answering',
  embedding: 'sentence-similarity',
  'causal-lm': 'text-generation',
  'seq2seq-lm': 'text2text-generation',
}

/** Files of transformers.js, and of onnxruntime that it was built with. */
const library = ['transformers.min.js']
const runtime = ['ort-wasm-simd-threaded.asyncify.mjs', 'ort-wasm-simd-threaded.asyncify.wasm']

const packageName = '@huggingface/transformers'

/** Paths of the files that a page needs. @throws ConfigError where transformers.js is not installed */
const libraryFiles = async (): Promise<string[]> => {
  const require = createRequire(import.meta.url)
  let found: string
  try {
    found = require.resolve(packageName)
  } catch {
    throw new ConfigError(
      `\`web\` needs ${packageName}, which runs models in the browser: \`${installCall(packageName)}\`.`,
    )
  }
  const ort = dirname(createRequire(found).resolve('onnxruntime-web'))
  const files = [...library.map((name) => join(dirname(found), name)), ...runtime.map((name) => join(ort, name))]
  for (const file of files)
    if (!(await exists(file)))
      throw new ConfigError(
        `\`web\` needs ${packageName} 4, whose files have other names in the installed version: \`${installCall(`${packageName}@4`)}\`.`,
      )
  return files
}

/** Our own script and style of the page. */
const pageFiles = async (): Promise<string[]> => {
  const files = ['specialist.js', 'specialist.css'].map((name) => join(packageRoot(), 'dist', 'web', name))
  for (const file of files)
    if (!(await exists(file))) throw new SetupError(`The page of specialists is not built: run \`${setupCall()}\`.`)
  return files
}

const pipelineOf = ({ model, given }: ExportSource): WebPipeline => {
  const { headType, facts } = model
  const pipeline = pipelines[headType]
  if (pipeline === undefined)
    throw new ConfigError(
      `Expected a head of ${Object.keys(pipelines).join(', ')} for \`web\`, got ${headType} in ${given}. Export to onnx instead.`,
    )
  if (facts.causal && pipeline !== 'text-generation')
    throw new ConfigError(
      `\`web\` needs an encoder for ${pipeline}, and ${given} is the decoder ${model.definition.type}, which transformers.js opens to generate only. Export to onnx instead.`,
    )
  return pipeline
}

const numberOf = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)

const factsOf = (source: ExportSource, variant: string): SpecialistFacts => {
  const { model, task, generation, chatTemplate, name } = source
  const { maxPositions = 512 } = model.facts
  const { headOptions } = model
  const settings = task?.settings ?? {}
  const isRegression = headOptions.problemType === 'regression'
  return {
    name,
    pipeline: pipelineOf(source),
    dtype: variant,
    maxLength: Math.min(maxPositions, task?.maxLength ?? headOptions.maxTokens ?? 512),
    labels: isRegression ? [] : [...headOptions.labels],
    multiLabel: headOptions.problemType === 'multi-label',
    pair: typeof settings.pair === 'string',
    ...(typeof settings.stride === 'number' ? { stride: settings.stride } : {}),
    maxQuestionTokens: numberOf(settings.maxQuestionTokens) ?? 64,
    maxAnswerTokens: numberOf(settings.maxAnswerTokens) ?? 30,
    ...(settings.version === '2.0' ? { nullThreshold: numberOf(settings.nullThreshold) ?? 0 } : {}),
    chat: chatTemplate !== undefined,
    generation: { max_new_tokens: 128, ...generationToHf(generation) },
  }
}

const indexOf = ({ name }: ExportSource): string =>
  [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="content-security-policy" content="default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; connect-src 'self' blob: data:; img-src data:">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<link rel="icon" href="data:,">',
    '<link rel="stylesheet" href="./specialist.css">',
    `<title>${escapeHtml(name)}</title>`,
    '</head>',
    `<body><main id="app"><h1>${escapeHtml(name)}</h1></main><script type="module" src="./specialist.js"></script></body>`,
    '</html>',
    '',
  ].join('\n')

export const web: ExportTarget = {
  type: 'web',
  description: 'a page that runs the model in the browser, for any server of static files',
  variants,
  defaultVariant: 'q8',
  comparesScores: true,
  pipelineLibrary: 'transformers.js',
  folder: 'web',
  // Not opset 23: browsers may not have its operators.
  operators: ['plain', 'grouped'],
  quantises: (variant) => onnx.quantises?.(onnxVariant(variant)) ?? false,
  check: async (source, variant) => {
    pipelineOf(source)
    await onnx.check?.(source, onnxVariant(variant))
    await libraryFiles()
    await pageFiles()
  },
  write: async (source, variant, folder, context) => {
    const model = join(folder, 'model')
    await mkdir(model)
    await onnx.write(source, onnxVariant(variant), model, context)
    for (const file of [...(await libraryFiles()), ...(await pageFiles())])
      await cp(file, join(folder, file.split(/[\\/]/).at(-1)!))
    await writeFile(join(folder, 'index.html'), indexOf(source))
    await writeFile(join(folder, 'specialist.json'), `${JSON.stringify(factsOf(source, variant), null, 2)}\n`)
    context.note('Browsers open the page from a server, not from the disk: `npx serve web` serves the folder.')
  },
  prove: async (source, variant, folder, context) => {
    const rows = (await onnx.prove?.(source, onnxVariant(variant), join(folder, 'model'), context)) ?? []
    return rows.map((row) => ({ ...row, target: `web:${variant}` }))
  },
}
