// Writes src/lib/schema.ts, the page's client of the control API, from docs/openapi.json: a type for each schema, a function for each question that GET
// asks and JSON answers. `node generate.mjs` writes it, `--check` fails unless it is written so already. It knows what OpenAPI document ours is, not any.
import { readFileSync, writeFileSync } from 'node:fs';

const document = JSON.parse(readFileSync(new URL('../docs/openapi.json', import.meta.url), 'utf8'));
const target = new URL('./src/lib/schema.ts', import.meta.url);

const note = (text, pad = '') => (text ? `${pad}/** ${text.replaceAll('*/', '* /')} */\n` : '');
const literal = (value) => `'${String(value).replaceAll("'", "\\'")}'`;
const SIMPLE = { string: 'string', integer: 'number', number: 'number', boolean: 'boolean', null: 'null' };

/** The type of a schema, in the line where it stands. */
function type(schema, pad) {
  if (schema.$ref) return schema.$ref.split('/').pop();
  if ('const' in schema) return literal(schema.const);
  if (schema.enum) return schema.enum.map(literal).join(' | ');
  if (schema.allOf) return schema.allOf.map((one) => type(one, pad)).join(' & ');
  const several = schema.anyOf ?? schema.oneOf;
  if (several) return several.map((one) => type(one, pad)).join(' | ');
  if (Array.isArray(schema.type)) return schema.type.map((one) => type({ ...schema, type: one }, pad)).join(' | ');
  if (schema.type === 'array') {
    const item = type(schema.items ?? {}, pad);
    return /[ |&]/.test(item) && !item.startsWith('{') ? `(${item})[]` : `${item}[]`;
  }
  if (schema.properties) return fields(schema, pad);
  if (schema.type === 'object') return `Record<string, ${type(schema.additionalProperties ?? {}, pad)}>`;
  return SIMPLE[schema.type] ?? 'unknown';
}

function fields(schema, pad) {
  const required = new Set(schema.required ?? []);
  const lines = Object.entries(schema.properties).map(([name, of]) => `${note(of.description, `${pad}  `)}${pad}  ${name}${required.has(name) ? '' : '?'}: ${type(of, `${pad}  `)};\n`);
  return `{\n${lines.join('')}${pad}}`;
}

function declared([name, schema]) {
  const head = note(schema.description);
  return schema.properties && !schema.allOf ? `${head}export interface ${name} ${fields(schema, '')}\n` : `${head}export type ${name} = ${type(schema, '')};\n`;
}

/** `/v1/events/past` is `eventsPast`, `/v1/traces/{id}` is `tracesById`. */
function named(path) {
  const words = path.split('/').slice(2).flatMap((word) => (word.startsWith('{') ? ['by', word.slice(1, -1)] : [word]));
  return words.map((word, at) => (at === 0 ? word : word[0].toUpperCase() + word.slice(1))).join('');
}

function question([path, { get }]) {
  const answer = get?.responses['200'].content?.['application/json'];
  if (!answer) return [];
  const parameters = get.parameters ?? [];
  const inPath = parameters.filter((one) => one.in === 'path').map((one) => `${one.name}: string`);
  const query = parameters.filter((one) => one.in === 'query');
  const words = query.map((one) => `${one.name}${one.required ? '' : '?'}: ${type(one.schema, '  ')}`);
  const optional = query.every((one) => !one.required) ? ' = {}' : '';
  const asked = path.replace('/v1/', '').replaceAll(/\{(\w+)\}/g, '${encodeURIComponent($1)}');
  const takes = [...inPath, ...(query.length ? [`query: { ${words.join('; ')} }${optional}`] : [])].join(', ');
  const where = asked.includes('${') ? `\`${asked}\`` : `'${asked}'`;
  return [`${note(get.summary, '  ')}  ${named(path)}: (${takes}) => ask<${type(answer.schema, '  ')}>(${where}${query.length ? ', query' : ''}),\n`];
}

const text = `// Made from docs/openapi.json by generate.mjs; not written by hand.

${Object.entries(document.components.schemas).map(declared).join('\n')}
/** Words behind the \`?\`; those that are not there are left out. */
export type Query = Record<string, string | number | boolean | undefined>;

/** The questions of the API, asked by whoever knows where it is. */
export const questions = (ask: <T>(path: string, query?: Query) => Promise<T>) => ({
${Object.entries(document.paths).flatMap(question).join('')}});
`;

if (process.argv[2] !== '--check') writeFileSync(target, text);
else if (readFileSync(target, 'utf8') !== text) {
  console.error('src/lib/schema.ts is not what docs/openapi.json says: run npm run generate in dashboard and commit it');
  process.exit(1);
}
