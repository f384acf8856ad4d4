// Losses of classification against numbers that PyTorch gives for the formulas of the papers.
import { describe, expect, it } from 'vitest'
import { ones, tensor } from '../../tensor/index.ts'
import { classLoss, divergence } from './class-loss.ts'

const first = tensor([
  [1.2, -0.3, 0.5],
  [0.1, 2, -1],
  [0, 0.4, 0.3],
])
const second = tensor([
  [0.9, 0.1, 0.2],
  [0.3, 1.5, -0.7],
  [-0.2, 0.6, 0.1],
])
const classes = tensor([0, 2, 1], { dtype: 'int64' })
const labels = tensor([
  [1, 0, 1],
  [0, 1, 0],
  [1, 1, 0],
])
const weights = Float32Array.of(1, 2, 0.5)
const plain = { multiLabel: false, labelSmoothing: 0, focalGamma: 0, weights }

describe('focal loss', () => {
  it('counts easy examples less, of classes and of labels', () => {
    // ((1 - p)^gamma * F.cross_entropy(…, reduction="none")).sum(), and the same of binary_cross_entropy_with_logits
    expect(classLoss(first, classes, { ...plain, focalGamma: 2 }).item()).toBeCloseTo(2.26432776, 5)
    expect(classLoss(first, labels, { ...plain, multiLabel: true, focalGamma: 1.5 }).item()).toBeCloseTo(1.45337403, 5)
  })

  it('leaves out examples without a known target', () => {
    const unknown = tensor([0, -100, 1], { dtype: 'int64' })
    const focal = (targets: typeof classes) => classLoss(first, targets, { ...plain, focalGamma: 2 }).item()
    const alone = classLoss(first.narrow(0, 1, 1), classes.narrow(0, 1, 1), { ...plain, focalGamma: 2 }).item()
    expect(focal(unknown)).toBeCloseTo(focal(classes) - alone, 5)
  })
})

describe('the divergence of two passes', () => {
  it('is the mean of both Kullback-Leibler divergences, of classes and of labels', () => {
    // (F.kl_div(log p, q) + F.kl_div(log q, p)) / 2, and the same of Bernoulli distributions
    expect(divergence(first, second, false, ones([3])).item()).toBeCloseTo(0.10081955, 6)
    expect(divergence(first, second, true, ones([3, 3])).item()).toBeCloseTo(0.08422364, 6)
    expect(divergence(first, first, false, ones([3])).item()).toBe(0)
  })
})
