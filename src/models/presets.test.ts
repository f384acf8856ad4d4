// Every preset keeps its number of parameters. The numbers of 63 are those of transformers' class of our config.json, made on the meta device
// (transformers 5, a tied output layer counted once), whose names and shapes were compared too. Six totals were looked up on published
// pages: Gemma 2 2B, Gemma 3 1B, Pythia-160M, SmolLM3, Qwen3-30B-A3B and ModernBERT-base. transformers 5 refuses the config of Gemma 2, T5
// and mT5 for a number's type, so theirs, but for Gemma 2 2B, are our own.
import { expect, it } from 'vitest'
import { plan } from '../tensor/index.ts'
import { buildModel, type HeadType, type ModelDefinition, models } from './index.ts'

/** Architecture, preset, head, parameters with that head. */
const published: readonly [type: string, preset: string, head: HeadType, parameters: number][] = [
  ['albert', 'base', 'masked-lm', 11_221_680],
  ['albert', 'large', 'masked-lm', 16_795_824],
  ['albert', 'xlarge', 'masked-lm', 54_821_040],
  ['albert', 'xxlarge', 'masked-lm', 206_368_944],
  ['bart', 'base', 'seq2seq-lm', 139_420_416],
  ['bart', 'large', 'seq2seq-lm', 406_291_456],
  ['bert', 'tiny', 'masked-lm', 4_416_698],
  ['bert', 'mini', 'masked-lm', 11_201_594],
  ['bert', 'small', 'masked-lm', 28_795_194],
  ['bert', 'medium', 'masked-lm', 41_404_730],
  ['bert', 'base', 'masked-lm', 109_514_298],
  ['bert', 'large', 'masked-lm', 335_174_458],
  ['camembert', 'base', 'masked-lm', 110_655_493],
  ['camembert', 'large', 'masked-lm', 336_695_557],
  ['deberta-v2', 'v3-xsmall', 'masked-lm', 70_958_820],
  ['deberta-v2', 'v3-small', 'masked-lm', 142_024_548],
  ['deberta-v2', 'v3-base', 'masked-lm', 184_551_780],
  ['deberta-v2', 'v3-large', 'masked-lm', 435_191_908],
  ['distilbert', 'base', 'masked-lm', 66_985_530],
  ['electra', 'small', 'masked-lm', 13_546_682],
  ['electra', 'base', 'masked-lm', 109_514_298],
  ['electra', 'large', 'masked-lm', 335_174_458],
  ['gemma', '2b', 'causal-lm', 2_506_172_416],
  ['gemma', '7b', 'causal-lm', 8_537_680_896],
  ['gemma2', '2b', 'causal-lm', 2_614_341_888],
  ['gemma2', '9b', 'causal-lm', 9_241_705_984],
  ['gemma2', '27b', 'causal-lm', 27_227_128_320],
  ['gemma3', '270m', 'causal-lm', 268_098_176],
  ['gemma3', '1b', 'causal-lm', 999_885_952],
  ['gpt2', '1m', 'causal-lm', 1_121_024],
  ['gpt2', '10m', 'causal-lm', 10_183_680],
  ['gpt2', '30m', 'causal-lm', 30_142_848],
  ['gpt2', 'small', 'causal-lm', 124_439_808],
  ['gpt2', 'medium', 'causal-lm', 354_823_168],
  ['gpt2', 'large', 'causal-lm', 774_030_080],
  ['gpt2', 'xl', 'causal-lm', 1_557_611_200],
  ['gpt-neox', 'pythia-70m', 'causal-lm', 70_426_624],
  ['gpt-neox', 'pythia-160m', 'causal-lm', 162_322_944],
  ['gpt-neox', 'pythia-410m', 'causal-lm', 405_334_016],
  ['gpt-neox', 'pythia-1b', 'causal-lm', 1_011_781_632],
  ['gpt-neox', '20b', 'causal-lm', 20_554_567_680],
  ['llama', 'smollm2-135m', 'causal-lm', 134_515_008],
  ['llama', 'tinyllama-1.1b', 'causal-lm', 1_100_048_384],
  ['llama', 'llama-2-7b', 'causal-lm', 6_738_415_616],
  ['mbart', 'large-cc25', 'seq2seq-lm', 610_851_840],
  ['mbart', 'large-50', 'seq2seq-lm', 610_879_488],
  ['mistral', '7b', 'causal-lm', 7_241_732_096],
  ['mixtral', '8x7b', 'causal-lm', 46_702_792_704],
  ['mixtral', '8x22b', 'causal-lm', 140_620_634_112],
  ['modernbert', 'base', 'masked-lm', 149_655_232],
  ['modernbert', 'large', 'masked-lm', 395_881_664],
  ['mpnet', 'base', 'masked-lm', 109_518_527],
  ['mt5', 'small', 'seq2seq-lm', 300_176_768],
  ['mt5', 'base', 'seq2seq-lm', 582_401_280],
  ['mt5', 'large', 'seq2seq-lm', 1_229_581_312],
  ['olmo2', '1b', 'causal-lm', 1_484_916_736],
  ['olmo2', '7b', 'causal-lm', 7_298_617_344],
  ['phi3', 'mini', 'causal-lm', 3_821_079_552],
  ['phi3', 'phi-4', 'causal-lm', 14_659_507_200],
  ['qwen2', '0.5b', 'causal-lm', 494_032_768],
  ['qwen2', '1.5b', 'causal-lm', 1_543_714_304],
  ['qwen3', '0.6b', 'causal-lm', 596_049_920],
  ['qwen3-moe', '30b-a3b', 'causal-lm', 30_532_122_624],
  ['qwen3-moe', '235b-a22b', 'causal-lm', 235_093_634_560],
  ['roberta', 'base', 'masked-lm', 124_697_433],
  ['roberta', 'large', 'masked-lm', 355_412_057],
  ['smollm3', '3b', 'causal-lm', 3_075_098_624],
  ['t5', 'small', 'seq2seq-lm', 60_506_624],
  ['t5', 'base', 'seq2seq-lm', 222_903_552],
  ['t5', 'large', 'seq2seq-lm', 737_668_096],
  ['t5', 'v1.1-small', 'seq2seq-lm', 76_961_152],
  ['t5', 'v1.1-base', 'seq2seq-lm', 247_577_856],
  ['t5', 'v1.1-large', 'seq2seq-lm', 783_150_080],
  ['xlm-roberta', 'base', 'masked-lm', 278_295_186],
  ['xlm-roberta', 'large', 'masked-lm', 560_142_482],
]

it('lists every preset', () => {
  const all = Object.entries(models).flatMap(([type, { presets }]) =>
    Object.keys(presets).flatMap((preset) => (preset === 'test' ? [] : [`${type} ${preset}`])),
  )
  expect(published.map(([type, preset]) => `${type} ${preset}`)).toEqual(all)
})

it.each(published)('%s %s with %s has the published size', async (type, preset, head, parameters) => {
  const definition = models[type as keyof typeof models] as ModelDefinition
  const config = definition.adjust(definition.presets[preset] as Record<string, unknown>, {})
  const { result } = await plan(() =>
    [...buildModel(definition, config, head).parameters().values()].reduce((sum, { size }) => sum + size, 0),
  )
  expect(result).toBe(parameters)
})
