// Distribution functions of statistics: normal and Student's t.

/** Natural logarithm of the gamma function for x > 0. @source C. Lanczos, SIAM J. Numer. Anal. 1, 1964; coefficients for g = 7 */
const logGamma = (x: number): number => {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x)
  const t = x + 6.5
  const sum = lanczos.reduce((all, coefficient, i) => all + (i === 0 ? coefficient : coefficient / (x - 1 + i)), 0)
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum)
}

const lanczos = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
]

/** Regularised incomplete beta function. @source Abramowitz and Stegun, 26.5.8, by Lentz's method */
const incompleteBeta = (x: number, a: number, b: number): number => {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1
  // The continued fraction converges fast on this side only.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a)
  const tiny = 1e-300
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a
  let c = 1
  let d = 1 / (1 - ((a + b) * x) / (a + 1) || tiny)
  let value = d
  for (let m = 1; m <= 500; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
    d = 1 / (1 + even * d || tiny)
    c = 1 + even / c || tiny
    value *= d * c
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / (1 + odd * d || tiny)
    c = 1 + odd / c || tiny
    value *= d * c
    if (Math.abs(d * c - 1) < 1e-15) break
  }
  return front * value
}

/** Two-sided p-value of a t statistic. @param freedom degrees of freedom */
export const studentProbability = (t: number, freedom: number): number =>
  incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5)

/** The t that the absolute value of a t-distributed number exceeds with `probability`. @param freedom degrees of freedom */
export const studentQuantile = (probability: number, freedom: number): number => {
  let [low, high] = [0, 1]
  while (studentProbability(high, freedom) > probability) high *= 2
  for (let i = 0; i < 200 && high - low > 1e-13 * high; i++) {
    const middle = (low + high) / 2
    if (studentProbability(middle, freedom) > probability) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** Distribution function of the standard normal distribution. */
export const normalDistribution = (x: number): number => {
  if (x > 0) return 1 - normalDistribution(-x)
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)
  if (x < -5) {
    // Mills' ratio as a continued fraction, exact in the tail.
    let fraction = -x
    for (let k = 60; k >= 1; k--) fraction = -x + k / fraction
    return density / fraction
  }
  // @source G. Marsaglia, Evaluating the Normal Distribution, 2004
  let term = x
  let sum = x
  for (let i = 3; Math.abs(term) > 1e-17 * Math.abs(sum); i += 2) {
    term *= (x * x) / i
    sum += term
  }
  return 0.5 + density * sum
}
