// The lookup with Fastify and mysql2, on Node's cluster module: one serving
// process per worker.
import cluster from 'node:cluster';
import { writeSync } from 'node:fs';
import Fastify from 'fastify';
import mysql from 'mysql2/promise';

const env = process.env;
const LOOKUP = 'SELECT id FROM demo_data WHERE name = ? ORDER BY id LIMIT 1';
const LONGEST = 255;
const ALPHABET = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
const POOL = Number(env.DATABASE_POOL);
const TOO_LONG = { error: 'name must have 1 to 255 characters' };

if (cluster.isPrimary) {
  conduct();
} else {
  await serve();
}

// conduct starts the workers and ends with them: a worker that ends by itself
// ends the whole replica.
function conduct() {
  let ending = false;
  for (let i = 0; i < Number(env.WORKERS); i++) cluster.fork();
  process.on('SIGTERM', () => {
    ending = true;
    for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGTERM');
  });
  cluster.on('exit', (worker, code, signal) => {
    if (!ending) {
      console.error(`worker ${worker.process.pid} ended: ${signal ?? code}`);
      process.exit(1);
    }
  });
}

function openPool(size) {
  return mysql.createPool({
    host: env.DATABASE_HOST,
    port: Number(env.DATABASE_PORT),
    user: env.DATABASE_USER,
    password: env.DATABASE_PASSWORD,
    database: env.DATABASE_NAME,
    charset: 'utf8mb4_general_ci',
    connectionLimit: size,
    maxIdle: size,
  });
}

// asking returns how a pool or one of its connections runs a statement.
function asking(source) {
  return env.PROTOCOL === 'prepared' ? source.execute.bind(source) : source.query.bind(source);
}

async function serve() {
  const pool = openPool(POOL);
  const ask = asking(pool);
  const app = Fastify({
    keepAliveTimeout: Number(env.KEEPALIVE) * 1000,
    logger: env.BAKEOFF_ACCESS_LOG === '1',
    exposeHeadRoutes: false,
  });

  if (env.BAKEOFF_REPLICA) {
    app.addHook('onRequest', (request, reply, done) => {
      reply.header('X-Bakeoff-Replica', env.BAKEOFF_REPLICA);
      done();
    });
  }

  app.get('/ping', (request, reply) => reply.type('text/plain; charset=utf-8').send(env.BAKEOFF_NONCE || 'pong'));

  app.get('/demo', async (request, reply) => {
    let name = request.query.name;
    if (Array.isArray(name)) name = name[0];
    if (name === undefined) name = randomName();
    const length = name.length > LONGEST ? [...name].length : name.length;
    if (length < 1 || length > LONGEST) return reply.code(400).send(TOO_LONG);
    const [rows] = await ask(LOOKUP, [name]);
    const id = rows.length ? rows[0].id : null;
    return { name, exists: id !== null, id };
  });

  process.on('SIGTERM', async () => {
    await app.close();
    await pool.end();
    process.exit(0);
  });
  await app.listen({ host: env.HOST, port: Number(env.PORT), backlog: 2048 });
  sayReady(await overlap());
}

// overlap runs two sleeping statements at once and tells when each began and
// ended. It asks through a pool of its own, made the same way: one of a single
// connection could not show it.
async function overlap() {
  const pool = openPool(2);
  const connections = await Promise.all([pool.getConnection(), pool.getConnection()]);
  const [first, second] = await Promise.all(connections.map(async (connection) => {
    const began = performance.now() / 1000;
    await asking(connection)('SELECT SLEEP(?)', [0.2]);
    return [began, performance.now() / 1000];
  }));
  for (const connection of connections) connection.release();
  await pool.end();
  return { first_began: first[0], first_ended: first[1], second_began: second[0], second_ended: second[1] };
}

function sayReady(proof) {
  const line = { pid: process.pid, pool: POOL, protocol: env.PROTOCOL, overlap: proof };
  writeSync(1, `bakeoff: ready ${JSON.stringify(line)}\n`);
}

function randomName() {
  let name = '';
  for (let n = 1 + Math.floor(Math.random() * LONGEST); n > 0; n--) {
    name += ALPHABET[Math.floor(Math.random() * ALPHABET.length)];
  }
  return name;
}
