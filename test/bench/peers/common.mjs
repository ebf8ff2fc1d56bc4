// What the peers in Node have in common: the mail, the client, the commands.
//
// Every peer is a script with these commands:
//
//   fill COUNT              puts mails 1 to COUNT into the queue, in bulk
//   work URL IN_FLIGHT      sends what waits, until SIGTERM; prints "ready"
//   enqueue SECONDS         enqueues one mail a transaction, one after the other,
//                           and prints how many a second
//   noops COUNT             puts that many tasks that do nothing into the queue
//                           (only graphile-worker)
//   paced RATE COUNT        enqueues mails 1 to COUNT at that rate, and prints
//                           for each its number and when it was committed, in us
//
// The server is that of PGHOST, PGUSER and PGDATABASE; the texts are in BODIES.

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'

const texts = readFileSync(process.env.BODIES, 'ascii').trimEnd().split('\n')
  .map(line => line.slice(line.indexOf('\t') + 1))

// The mail as it is queued.
export function mail (number) {
  return {
    n: number,
    from: process.env.SENDER,
    to: `lead${number}@example.net`,
    subject: `Hello number ${number}`,
    html: texts[number % texts.length]
  }
}

// Kept-alive connections, one request at a time on each, as many as in flight.
export function sender (url, inFlight) {
  const pool = new Pool(url, { connections: inFlight, pipelining: 1 })
  const headers = { authorization: 'Bearer SG.test-key', 'content-type': 'application/json' }

  return async function send (job) {
    const answer = await pool.request({
      path: '/v3/mail/send',
      method: 'POST',
      headers,
      body: JSON.stringify({
        personalizations: [{
          to: [{ email: job.to }],
          custom_args: { rf_job: `0123456789abcdef.${job.n}` }
        }],
        from: { email: job.from },
        subject: job.subject,
        content: [{ type: 'text/html', value: job.html }]
      })
    })
    await answer.body.dump()
    if (answer.statusCode !== 202) throw new Error(`status ${answer.statusCode}`)
    return answer.headers['x-message-id']
  }
}

const nowUs = () => Math.round((performance.timeOrigin + performance.now()) * 1000)

// enqueue(mail) returns when the mail is committed.
async function pace (enqueue, rate, count) {
  const lines = []
  const started = performance.now()

  for (let n = 1; n <= count; n++) {
    const wait = started + n * 1000 / rate - performance.now()
    if (wait > 0) await sleep(wait)
    await enqueue(mail(n))
    lines.push(`${n} ${nowUs()}`)
  }
  console.log(lines.join('\n'))
}

async function measureEnqueue (enqueue, seconds) {
  const started = performance.now()
  let n = 0

  while (performance.now() - started < seconds * 1000) await enqueue(mail(++n))
  console.log(n * 1000 / (performance.now() - started))
}

// peer: { fill(count), work(send, inFlight), enqueue(mail), end() }
export async function run (peer) {
  const [command, ...words] = process.argv.slice(2)
  const numbers = words.map(Number)

  if (command === 'work') {
    await peer.work(sender(words[0], numbers[1]), numbers[1])
    console.log('ready')
    return
  }
  await peer.open()
  if (command === 'fill') await peer.fill(numbers[0])
  if (command === 'noops') await peer.noops(numbers[0])
  if (command === 'enqueue') await measureEnqueue(peer.enqueue, ...numbers)
  if (command === 'paced') await pace(peer.enqueue, ...numbers)
  await peer.end()
}
