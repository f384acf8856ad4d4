// With TUNESMITH_TEST_DEVICE, models and runs that name no device are on that one. `strict` refuses tensors of the CPU; `cuda` is a card.
// With TUNESMITH_STRICT_FLOAT64=none the strict device has no float64, as the GPUs of Macs.
const device = process.env.TUNESMITH_TEST_DEVICE
if (device === 'strict') {
  const { enableStrictDevice, limitStrictDevice } = await import('../src/tensor/index.ts')
  enableStrictDevice({ byDefault: true })
  if (process.env.TUNESMITH_STRICT_FLOAT64 === 'none') limitStrictDevice({ float64: false })
} else if (device !== undefined) {
  const { useByDefault } = await import('../src/tensor/device.ts')
  useByDefault(device)
}
