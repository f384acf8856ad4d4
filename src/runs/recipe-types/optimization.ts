// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** A setting of every kind of run: one of several, by its `type`. */
export type OptimizerInput =
  | {
      /** Adafactor. */
      type: 'adafactor'
      /** Learning rate times min(0.01, 1/sqrt(step)); the paper has a learning rate of 1. Default: `true`. */
      relativeStep?: boolean | undefined
      /** Scale updates by the root mean square of the weights. Default: `true`. */
      scaleParameter?: boolean | undefined
      /** Warmup of the relative step from 1e-6. Default: `false`. */
      warmupInit?: boolean | undefined
      /** Decay of the average update; 0 disables it. Default: `0`. */
      beta1?: number | undefined
      /** Exponent of the decay of the average square. Default: `-0.8`. */
      decayRate?: number | undefined
      /** Maximum root mean square of an update. Default: `1`. */
      clipThreshold?: number | undefined
      /** Added to squared gradients. Default: `1e-30`. */
      eps?: number | undefined
      /** Minimum root mean square of the weights for `scaleParameter`. Default: `0.001`. */
      minScale?: number | undefined
      /** Weight decay per step, times the learning rate. Default: `0`. */
      weightDecay?: number | undefined
      /** Weight decay of embedding tables. Default: `true`. */
      decayEmbeddings?: boolean | undefined
      /** Weight decay of biases and norm weights. Default: `false`. */
      decayVectors?: boolean | undefined
      /** Learning rate of each layer relative to the layer above it. Default: `1`. */
      layerDecay?: number | undefined
    }
  | {
      /** AdamW. */
      type: 'adamw'
      /** Decay of the average gradient. Default: `0.9`. */
      beta1?: number | undefined
      /** Decay of the average squared gradient. Default: `0.999`. */
      beta2?: number | undefined
      /** Added to the root of the average square, for stability. Default: `1e-8`. */
      eps?: number | undefined
      /** Weight decay per step, times the learning rate. Default: `0.01`. */
      weightDecay?: number | undefined
      /** Weight decay of embedding tables. Default: `true`. */
      decayEmbeddings?: boolean | undefined
      /** Weight decay of biases and norm weights. Default: `false`. */
      decayVectors?: boolean | undefined
      /** Learning rate of each layer relative to the layer above it. Default: `1`. */
      layerDecay?: number | undefined
    }
  | {
      /** AdamW with averages in 8 bits: a quarter of the memory of its state. */
      type: 'adamw-8bit'
      /** Decay of the average gradient. Default: `0.9`. */
      beta1?: number | undefined
      /** Decay of the average squared gradient. Default: `0.999`. */
      beta2?: number | undefined
      /** Added to the root of the average square, for stability. Default: `1e-8`. */
      eps?: number | undefined
      /** Weight decay per step, times the learning rate. Default: `0.01`. */
      weightDecay?: number | undefined
      /** Weight decay of embedding tables. Default: `true`. */
      decayEmbeddings?: boolean | undefined
      /** Weight decay of biases and norm weights. Default: `false`. */
      decayVectors?: boolean | undefined
      /** Learning rate of each layer relative to the layer above it. Default: `1`. */
      layerDecay?: number | undefined
    }
  | {
      /** AdamW that needs no decay: use the schedule constant, with warmup. */
      type: 'adamw-schedule-free'
      /** Place of the gradients between the iterate (0) and the average (1). Default: `0.9`. */
      beta1?: number | undefined
      /** Decay of the average squared gradient. Default: `0.999`. */
      beta2?: number | undefined
      /** Added to the root of the average square, for stability. Default: `1e-8`. */
      eps?: number | undefined
      /** Weight decay per step, times the learning rate. Default: `0`. */
      weightDecay?: number | undefined
      /** Weight decay of embedding tables. Default: `true`. */
      decayEmbeddings?: boolean | undefined
      /** Weight decay of biases and norm weights. Default: `false`. */
      decayVectors?: boolean | undefined
      /** Learning rate of each layer relative to the layer above it. Default: `1`. */
      layerDecay?: number | undefined
    }
  | {
      /** Scales the gradients of hidden matrices as AdamW would in a random projection of low rank. */
      type: 'apollo'
      /** Rank of the projection; 1 for APOLLO-Mini. Default: `256`. */
      rank?: number | undefined
      /** Steps until the projection is changed. Default: `200`. */
      interval?: number | undefined
      /** Updates of hidden matrices are multiplied by its root; 128 for APOLLO-Mini. Default: `1`. */
      scale?: number | undefined
      /** A factor for each row or column, or one for the matrix: tensor for APOLLO-Mini. Default: `channel`. */
      scaling?: 'channel' | 'tensor' | undefined
      /** Decay of the average gradient. Default: `0.9`. */
      beta1?: number | undefined
      /** Decay of the average squared gradient. Default: `0.999`. */
      beta2?: number | undefined
      /** Added to the root of the average square, for stability. Default: `0.000001`. */
      eps?: number | undefined
      /** Weight decay per step, times the learning rate. Default: `0`. */
      weightDecay?: number | undefined
      /** Weight decay of embedding tables. Default: `true`. */
      decayEmbeddings?: boolean | undefined
      /** Weight decay of biases and norm weights. Default: `false`. */
      decayVectors?: boolean | undefined
      /** Learning rate of each layer relative to the layer above it. Default: `1`. */
      layerDecay?: number | undefined
    }
  | {
      /** AdamW in a low-rank subspace of the gradients of hidden matrices. */
      type: 'galore'
      /** Rank of the subspace. Default: `128`. */
      rank?: number | undefined
      /** Steps until the subspace is computed anew. Default: `200`. */
      interval?: number | undefined
      /** Factor of the updates of hidden matrices. Default: `0.25`. */
      scale?: number | undefined
      /** Decay of the average gradient. Default: `0.9`. */
      beta1?: number | undefined
      /** Decay of the average squared gradient. Default: `0.999`. */
      beta2?: number | undefined
      /** Added to the root of the average square, for stability. Default: `0.000001`. */
      eps?: number | undefined
      /** Weight decay per step, times the learning rate. Default: `0`. */
      weightDecay?: number | undefined
      /** Weight decay of embedding tables. Default: `true`. */
      decayEmbeddings?: boolean | undefined
      /** Weight decay of biases and norm weights. Default: `false`. */
      decayVectors?: boolean | undefined
      /** Learning rate of each layer relative to the layer above it. Default: `1`. */
      layerDecay?: number | undefined
    }
  | {
      /** Lion; use a learning rate 3 to 10 times below that of AdamW. */
      type: 'lion'
      /** Weight of the average against the new gradient in the update. Default: `0.9`. */
      beta1?: number | undefined
      /** Decay of the average gradient. Default: `0.99`. */
      beta2?: number | undefined
      /** Weight decay per step, times the learning rate. Default: `0`. */
      weightDecay?: number | undefined
      /** Weight decay of embedding tables. Default: `true`. */
      decayEmbeddings?: boolean | undefined
      /** Weight decay of biases and norm weights. Default: `false`. */
      decayVectors?: boolean | undefined
      /** Learning rate of each layer relative to the layer above it. Default: `1`. */
      layerDecay?: number | undefined
    }
  | {
      /** Muon, with AdamW for embeddings, heads, norms and biases. */
      type: 'muon'
      /** Decay of the average gradient. Default: `0.95`. */
      momentum?: number | undefined
      /** Nesterov momentum. Default: `true`. */
      nesterov?: boolean | undefined
      /** Newton-Schulz iterations per update. Default: `5`. */
      newtonSchulzSteps?: number | undefined
      /** Dtype of the iterations; bfloat16 is faster where the processor supports it. Default: `float32`. */
      newtonSchulzDtype?: 'float32' | 'bfloat16' | undefined
      /** Size of the updates: as published, or as large as those of AdamW. Default: `match-rms-adamw`. */
      adjustment?: 'original' | 'match-rms-adamw' | undefined
      /** Learning rate of AdamW for the rest, relative to Muon's; about 0.015 with `original`. Default: `1`. */
      otherLearningRateScale?: number | undefined
      /** Decay of the average gradient of AdamW. Default: `0.9`. */
      beta1?: number | undefined
      /** Decay of the average squared gradient of AdamW. Default: `0.95`. */
      beta2?: number | undefined
      /** Added to the root of the average square of AdamW, for stability. Default: `1e-8`. */
      eps?: number | undefined
      /** Weight decay per step, times the learning rate. Default: `0.1`. */
      weightDecay?: number | undefined
      /** Weight decay of embedding tables. Default: `true`. */
      decayEmbeddings?: boolean | undefined
      /** Weight decay of biases and norm weights. Default: `false`. */
      decayVectors?: boolean | undefined
      /** Learning rate of each layer relative to the layer above it. Default: `1`. */
      layerDecay?: number | undefined
    }
  | {
      /** Gradient descent with momentum. */
      type: 'sgd'
      /** Decay of the accumulated gradient; 0 disables momentum. Default: `0.9`. */
      momentum?: number | undefined
      /** Share of each gradient that is left out of the momentum. Default: `0`. */
      dampening?: number | undefined
      /** Nesterov momentum. Default: `false`. */
      nesterov?: boolean | undefined
      /** Weight decay per step, times the learning rate. Default: `0`. */
      weightDecay?: number | undefined
      /** Weight decay of embedding tables. Default: `true`. */
      decayEmbeddings?: boolean | undefined
      /** Weight decay of biases and norm weights. Default: `false`. */
      decayVectors?: boolean | undefined
      /** Learning rate of each layer relative to the layer above it. Default: `1`. */
      layerDecay?: number | undefined
    }

/** A setting of every kind of run: one of several, by its `type`. */
export type ScheduleInput =
  | {
      /** Constant after warmup. */
      type: 'constant'
      /** Linear warmup from 0, in steps. Default: `0`. */
      warmupSteps?: number | undefined
      /** Linear warmup from 0, as a share of all steps. Default: `0`. */
      warmupShare?: number | undefined
    }
  | {
      /** Cosine decay after warmup. */
      type: 'cosine'
      /** Linear warmup from 0, in steps. Default: `0`. */
      warmupSteps?: number | undefined
      /** Linear warmup from 0, as a share of all steps. Default: `0`. */
      warmupShare?: number | undefined
      /** Learning rate at the end, as a share of the peak. Default: `0`. */
      floor?: number | undefined
    }
  | {
      /** Cosine decay in several cycles after warmup. */
      type: 'cosine-restarts'
      /** Number of cycles, each from the peak to the floor. Default: `4`. */
      cycles?: number | undefined
      /** Linear warmup from 0, in steps. Default: `0`. */
      warmupSteps?: number | undefined
      /** Linear warmup from 0, as a share of all steps. Default: `0`. */
      warmupShare?: number | undefined
      /** Learning rate at the end, as a share of the peak. Default: `0`. */
      floor?: number | undefined
    }
  | {
      /** Inverse square root decay after warmup. */
      type: 'inverse-square-root'
      /** Linear warmup from 0, in steps. Default: `0`. */
      warmupSteps?: number | undefined
      /** Linear warmup from 0, as a share of all steps. Default: `0`. */
      warmupShare?: number | undefined
      /**
       * Time scale in steps: the rate halves after three of them (default: warmup steps, or 10,000 without
       * warmup).
       */
      timescale?: number | undefined
    }
  | {
      /** Linear decay after warmup. */
      type: 'linear'
      /** Linear warmup from 0, in steps. Default: `0`. */
      warmupSteps?: number | undefined
      /** Linear warmup from 0, as a share of all steps. Default: `0`. */
      warmupShare?: number | undefined
      /** Learning rate at the end, as a share of the peak. Default: `0`. */
      floor?: number | undefined
    }
  | {
      /** Polynomial decay after warmup. */
      type: 'polynomial'
      /** Power of the share of the steps that is left. Default: `2`. */
      power?: number | undefined
      /** Linear warmup from 0, in steps. Default: `0`. */
      warmupSteps?: number | undefined
      /** Linear warmup from 0, as a share of all steps. Default: `0`. */
      warmupShare?: number | undefined
      /** Learning rate at the end, as a share of the peak. Default: `0`. */
      floor?: number | undefined
    }
  | {
      /** Constant after warmup, then decay at the end. */
      type: 'warmup-stable-decay'
      /** Linear warmup from 0, in steps. Default: `0`. */
      warmupSteps?: number | undefined
      /** Linear warmup from 0, as a share of all steps. Default: `0`. */
      warmupShare?: number | undefined
      /** Decay at the end, in steps. */
      decaySteps?: number | undefined
      /** Decay at the end, as a share of all steps (default: 0.2). */
      decayShare?: number | undefined
      /** Shape of the decay. Default: `1-sqrt`. */
      decayShape?: 'linear' | '1-sqrt' | 'cosine' | undefined
      /** Learning rate at the end, as a share of the peak. Default: `0`. */
      floor?: number | undefined
    }
