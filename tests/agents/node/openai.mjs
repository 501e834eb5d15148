// openai-node in the scenario that argv[2] names; what its user gets is printed as JSON.
import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { z } from 'zod'

const { base, key, model, scenario } = JSON.parse(process.argv[2])
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: key })
const messages = [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Hello' }]
const asked = { model, messages, max_tokens: 1000 }
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
const weather = { name: 'get_weather', description: 'The weather now', parameters, parse: JSON.parse }

const scenarios = {
  async whole() {
    const { choices: [choice], usage } = await client.chat.completions.create(asked)
    return { text: choice.message.content, stop: choice.finish_reason, tokens: usage.completion_tokens }
  },
  async stream() {
    let text = '', stop, tokens
    const options = { stream_options: { include_usage: true } }
    for await (const chunk of await client.chat.completions.create({ ...asked, ...options, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? ''
      stop = chunk.choices[0]?.finish_reason ?? stop
      tokens = chunk.usage?.completion_tokens ?? tokens
    }
    return { text, stop, tokens }
  },
  async helper() {
    const pieces = []
    const stream = client.chat.completions.stream(asked).on('content', (piece) => pieces.push(piece))
    const { choices: [choice] } = await stream.finalChatCompletion()
    return { text: choice.message.content, pieces: pieces.join(''), stop: choice.finish_reason }
  },
  async tools(stream = false) {
    const cities = []
    const run = ({ city }) => (cities.push(city), `sunny in ${city}`)
    const tools = [{ type: 'function', function: { ...weather, function: run } }]
    const runner = client.chat.completions.runTools({ ...asked, tools, stream })
    return { text: await runner.finalContent(), cities, roles: runner.messages.map((message) => message.role) }
  },
  toolsStreamed: () => scenarios.tools(true),
  async parse() {
    const schema = z.object({ city: z.string(), days: z.number().int() })
    const completion = await client.chat.completions.parse({ ...asked, response_format: zodResponseFormat(schema, 'trip') })
    return completion.choices[0].message.parsed
  },
  async reasoning() {
    const { choices: [choice] } = await client.chat.completions.create({ ...asked, reasoning_effort: 'high' })
    return { text: choice.message.content, thought: choice.message.reasoning_content }
  },
  async models() {
    const ids = []
    for await (const { id } of client.models.list()) ids.push(id)
    return ids
  },
}
try {
  console.log(JSON.stringify(await scenarios[scenario]()))
} catch (error) {
  console.log(JSON.stringify({ error: error.constructor.name, status: error.status, message: error.message }))
}
