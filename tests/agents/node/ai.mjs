// The AI SDK over the provider and in the scenario that argv[2] names; what its user gets is printed as JSON.
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { Output, generateText, isStepCount, streamText, tool } from 'ai'
import { z } from 'zod'

const { base, key, model: name, scenario, provider } = JSON.parse(process.argv[2])
const baseURL = `${base}/v1`
const models = {
  openai: () => createOpenAI({ baseURL, apiKey: key }).chat(name),
  compatible: () => createOpenAICompatible({ name: 'acc', baseURL, apiKey: key })(name),
  structured: () => createOpenAICompatible({ name: 'acc', baseURL, apiKey: key, supportsStructuredOutputs: true })(name),
  anthropic: () => createAnthropic({ baseURL, apiKey: key })(name),
}
const model = models[provider]()
const asked = { model, prompt: 'Hello', maxRetries: 0, maxOutputTokens: 4000 }
const schema = z.object({ city: z.string(), days: z.number().int() })
const cities = []
const tools = {
  get_weather: tool({
    description: 'The weather now',
    inputSchema: z.object({ city: z.string() }),
    execute: ({ city }) => (cities.push(city), `sunny in ${city}`),
  }),
}
const thinking = { anthropic: { thinking: { type: 'enabled', budgetTokens: 2000 } }, acc: { reasoningEffort: 'high' } }

async function streamed(more) {
  const failures = []
  const result = streamText({ ...asked, ...more, onError: ({ error }) => failures.push(error) })
  let text = ''
  for await (const piece of result.textStream) text += piece
  if (failures.length) throw failures[0]
  return { text, result }
}

const scenarios = {
  async whole() {
    const { text, finishReason, usage } = await generateText(asked)
    return { text, stop: finishReason, tokens: usage.outputTokens }
  },
  async stream() {
    const { text, result } = await streamed()
    return { text, stop: await result.finishReason }
  },
  async tools() {
    const { text, steps } = await generateText({ ...asked, tools, stopWhen: isStepCount(5) })
    return { text, cities, steps: steps.length }
  },
  async toolsStreamed() {
    const { text, result } = await streamed({ tools, stopWhen: isStepCount(5) })
    return { text, cities, steps: (await result.steps).length }
  },
  async parse(more) {
    return (await generateText({ ...asked, ...more, output: Output.object({ schema }) })).output
  },
  parseNative: () => scenarios.parse({ providerOptions: { anthropic: { structuredOutputMode: 'outputFormat' } } }),
  async reasoning() {
    const { text, result } = await streamed({ tools, stopWhen: isStepCount(5), providerOptions: thinking })
    const steps = await result.steps
    return { text, thought: steps.map((step) => step.reasoningText ?? ''), cities }
  },
}
try {
  console.log(JSON.stringify(await scenarios[scenario]()))
} catch (error) {
  const { name, statusCode, message } = error.lastError ?? error
  console.log(JSON.stringify({ error: name, status: statusCode, message }))
}
