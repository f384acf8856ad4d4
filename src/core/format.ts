// Numbers as people read them. For messages and tables only, never for files that programs read.

/** `1.5 GiB`, `310 MiB`, `12 B`: binary units. */
export const formatBytes = (bytes: number): string => scaled(bytes, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'], ' ')

/** `124M`, `1.2B`, `950`: decimal units. */
export const formatCount = (count: number): string => scaled(count, 1000, ['', 'k', 'M', 'B', 'T'], '')

const scaled = (value: number, base: number, units: readonly string[], space: string): string => {
  if (!Number.isFinite(value)) return String(value)
  let size = Math.abs(value)
  let unit = 0
  // 999.5 would print as 1000 of the smaller unit, so it moves up already.
  while (unit < units.length - 1 && size >= base - (unit === 0 ? 0 : 0.5)) {
    size /= base
    unit += 1
  }
  const whole = unit === 0
  const digits =
    whole && Number.isInteger(size) ? String(size) : size < 10 ? size.toFixed(size < 1 ? 2 : 1) : size.toFixed(0)
  const text = unit > 0 || digits.includes('.') ? digits.replace(/\.0+$/, '') : digits
  return `${value < 0 ? '-' : ''}${text}${units[unit] === '' ? '' : space + units[unit]}`
}

/** `850 ms`, `12.3 s`, `4 min 05 s`, `2 h 13 min`, `3 d 4 h`. */
export const formatDuration = (milliseconds: number): string => {
  if (!Number.isFinite(milliseconds)) return 'unknown'
  if (milliseconds < 0) return `-${formatDuration(-milliseconds)}`
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`
  const seconds = milliseconds / 1000
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`
  const hours = Math.round(minutes / 60)
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** As `formatDuration`, with three significant digits below 10 ms: `2.37 ms`, `0.0412 ms`. */
export const formatPreciseDuration = (milliseconds: number): string => {
  const isShort = milliseconds > 0 && milliseconds < 9.995
  return isShort ? `${Number(milliseconds.toPrecision(3))} ms` : formatDuration(milliseconds)
}

const two = (value: number): string => String(value).padStart(2, '0')
