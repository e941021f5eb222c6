// npm `ws` as its README shows it, with events from NATS: a text message is a subject to subscribe to, answered `ok`;
// each event of the subject is sent to each of its members. Usage: node server.mjs PORT NATS_PORT
import net from 'node:net'
import { WebSocketServer } from 'ws'

const [port, natsPort] = process.argv.slice(2).map(Number)
const subjects = new Map() // name -> number
const members = [] // number -> Set of sockets

const nats = net.connect({ host: '127.0.0.1', port: natsPort, noDelay: true })
nats.write('CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n')
nats.on('close', () => process.exit(1))

// MSG subject number [reply] size, and HMSG with the size of the headers before the size of all.
let heard = Buffer.alloc(0)
nats.on('data', chunk => {
  heard = heard.length ? Buffer.concat([heard, chunk]) : chunk
  let at = 0
  for (;;) {
    const end = heard.indexOf('\r\n', at)
    if (end < 0) break
    const words = heard.latin1Slice(at, end).split(' ')
    let next = end + 2
    if (words[0] === 'MSG' || words[0] === 'HMSG') {
      const size = Number(words.at(-1))
      if (heard.length < next + size + 2) break
      const head = words[0] === 'HMSG' ? Number(words.at(-2)) : 0
      // A copy: what `ws` still holds must not be overwritten, and text must be valid on its own.
      const data = Buffer.from(heard.subarray(next + head, next + size))
      for (const socket of members[Number(words[2])]) socket.send(data, { binary: false })
      next += size + 2
    } else if (words[0] === 'PING') {
      nats.write('PONG\r\n')
    }
    at = next
  }
  heard = heard.subarray(at)
})

const server = new WebSocketServer({ host: '127.0.0.1', port, backlog: 65535, perMessageDeflate: false })
server.on('connection', socket => {
  let number
  socket.on('message', data => {
    const subject = data.toString()
    number = subjects.get(subject)
    if (number === undefined) {
      number = members.length
      subjects.set(subject, number)
      members.push(new Set())
      nats.write(`SUB ${subject} ${number}\r\n`)
    }
    members[number].add(socket)
    socket.send('ok')
  })
  socket.on('close', () => members[number]?.delete(socket))
  socket.on('error', () => {})
})
