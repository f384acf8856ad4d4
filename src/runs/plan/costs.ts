// Time, money, energy and disk of a planned run. Pure arithmetic: the prices are the user's.

/** How fast a machine computes, and how that is known. */
export interface Speed {
  /** FLOP/s of a training step, of all processes together. */
  flopsPerSecond: number
  /** Number of processes (default: 1). */
  count?: number
  /** Seconds that the first steps take in addition, while code is compiled and memory is new (default: 0). */
  startSeconds?: number
  /** Relative error that its source has shown or that is assumed. */
  tolerance: number
  basis: 'measured' | 'calibrated' | 'table'
  /** What it was taken from, in words. */
  source: string
}

/** Prices and power: the user's are for one machine or graphics card. */
export interface Prices {
  /** Rent of the machine or card. */
  pricePerHour?: number | undefined
  /** Power of the machine or card. */
  watts?: number | undefined
  pricePerKilowattHour?: number | undefined
}

/** What a run costs. */
export interface RunCosts {
  seconds: number
  /** Bounds of the time. */
  range: [number, number]
  /** Rent and energy, where a price is given. */
  money?: number
  kilowattHours?: number
}

/** Prices of several machines or cards together, from those of one. Energy has the same price for all. */
export const pricesOfAll = ({ pricePerHour, watts, pricePerKilowattHour }: Prices, count: number): Prices => ({
  pricePerHour: pricePerHour && count * pricePerHour,
  watts: watts && count * watts,
  pricePerKilowattHour,
})

/**
 * The costs of a time that was taken from a speed.
 * @param prices of all machines or cards together
 */
export const costsOf = (seconds: number, { tolerance }: Pick<Speed, 'tolerance'>, prices: Prices = {}): RunCosts => {
  const hours = seconds / 3600
  const kilowattHours = prices.watts === undefined ? undefined : (hours * prices.watts) / 1000
  const rent = prices.pricePerHour === undefined ? undefined : hours * prices.pricePerHour
  const energy =
    kilowattHours === undefined || prices.pricePerKilowattHour === undefined
      ? undefined
      : kilowattHours * prices.pricePerKilowattHour
  return {
    seconds,
    range: [seconds / (1 + tolerance), seconds * (1 + tolerance)],
    ...(rent === undefined && energy === undefined ? {} : { money: (rent ?? 0) + (energy ?? 0) }),
    ...(kilowattHours === undefined ? {} : { kilowattHours }),
  }
}

/** Limits that a run must stay within. */
export interface Limits {
  /** Bytes. */
  memory?: number
  hours?: number
  money?: number
}

/**
 * The longest time within limits of time and money, and the limit that binds; undefined without such limits.
 * @param prices of all machines or cards together
 */
export const affordableTime = (
  { hours, money }: Limits,
  speed: Speed,
  prices: Prices,
): { seconds: number; binds: 'hours' | 'money' } | undefined => {
  const perHour = costsOf(3600, speed, prices).money
  const byMoney = money === undefined || perHour === undefined ? Number.POSITIVE_INFINITY : money / perHour
  const byTime = hours ?? Number.POSITIVE_INFINITY
  const most = Math.min(byMoney, byTime)
  if (most === Number.POSITIVE_INFINITY) return undefined
  return { seconds: most * 3600, binds: byMoney < byTime ? 'money' : 'hours' }
}
