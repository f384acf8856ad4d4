// The price of an hour of the machine, which the user types where a recipe has none. The address has it.
import { queryNumber, route, setQuery } from '../../router.ts'

/** The price that was typed; undefined without one. */
export const typedPrice = (): number | undefined => {
  const price = queryNumber('price')
  return price !== undefined && price >= 0 ? price : undefined
}

export const PriceField = ({ title }: { title: string }) => (
  <label>
    {title}{' '}
    <input
      type="number"
      min="0"
      step="any"
      value={route.value.query.get('price') ?? ''}
      onInput={(event) => setQuery({ price: event.currentTarget.value || undefined })}
    />
  </label>
)
