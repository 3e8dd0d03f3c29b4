// `node sdk_calls.cjs CALL`: one call of an SDK, as its documentation shows it; prints what the API said.
// Its credentials are what `egret run` sets, and nothing else; where they are given to the SDK, they are given here.
const fs = require('node:fs');

const SAID = 'said by the API';
const DOWNLOAD = 'https://storage.googleapis.com/storage/v1/b/sdk-calls/o/there?alt=media';

const calls = {
  async s3() {
    const { GetObjectCommand, PutObjectCommand, S3Client } = require('@aws-sdk/client-s3');
    const client = new S3Client({ region: 'us-east-1' });
    const at = { Bucket: 'sdk-calls', Key: 'a b/\u00fc' };
    await client.send(new PutObjectCommand({ ...at, Body: SAID }));
    return (await client.send(new GetObjectCommand(at))).Body.transformToString();
  },
  async dynamodb() {
    const { DynamoDBClient, GetItemCommand } = require('@aws-sdk/client-dynamodb');
    const client = new DynamoDBClient({ region: 'us-east-1' });
    const { Item } = await client.send(new GetItemCommand({ TableName: 't', Key: { k: { S: SAID } } }));
    return JSON.parse(Item.said.S).Key.k.S;
  },
  async role() {
    const { GetObjectCommand, S3Client } = require('@aws-sdk/client-s3');
    const { fromTemporaryCredentials } = require('@aws-sdk/credential-providers');
    const params = { RoleArn: 'arn:aws:iam::123456789012:role/x' };
    const client = new S3Client({ region: 'us-east-1', credentials: fromTemporaryCredentials({ params }) });
    const { Body } = await client.send(new GetObjectCommand({ Bucket: 'sdk-calls', Key: 'there' }));
    return Body.transformToString();
  },
  async storage() {
    const { Storage } = require('@google-cloud/storage');
    const [content] = await new Storage().bucket('sdk-calls').file('there').download();
    return content.toString();
  },
  async storage_upload() {
    const { Storage } = require('@google-cloud/storage');
    const storage = new Storage({ keyFilename: process.env.EGRET_KEY_FILE_GCP });
    const file = storage.bucket('sdk-calls').file('node');
    await file.save(SAID, { resumable: false });
    return (await file.download())[0].toString();
  },
  async google() {
    const { GoogleAuth } = require('google-auth-library');
    const scopes = ['https://www.googleapis.com/auth/devstorage.read_write'];
    const auth = new GoogleAuth({ keyFilename: process.env.EGRET_KEY_FILE_GCP, scopes });
    return (await auth.request({ url: DOWNLOAD, responseType: 'text' })).data;
  },
  async vault() {
    const { DefaultAzureCredential } = require('@azure/identity');
    const { SecretClient } = require('@azure/keyvault-secrets');
    const client = new SecretClient('https://myvault.vault.azure.net', new DefaultAzureCredential());
    return (await client.getSecret('there')).value;
  },
  async blob() {
    const { ClientSecretCredential } = require('@azure/identity');
    const { BlobServiceClient } = require('@azure/storage-blob');
    const credential = new ClientSecretCredential('contoso.example', '0-1', '#{SECRETS.AZ_STORAGE}');
    const service = new BlobServiceClient('https://myaccount.blob.core.windows.net', credential);
    const client = service.getContainerClient('sdk-calls').getBlockBlobClient('node');
    await client.upload(SAID, SAID.length);
    return (await client.downloadToBuffer()).toString();
  },
  async octokit() {
    const { Octokit } = await import('@octokit/rest');
    const { createAppAuth } = await import('@octokit/auth-app');
    const privateKey = fs.readFileSync(process.env.EGRET_STAND_IN_KEY, 'utf8');
    const auth = { appId: '#{SECRETS.GH_TOKEN}', privateKey, installationId: 42 };
    const octokit = new Octokit({ authStrategy: createAppAuth, auth });
    return (await octokit.rest.repos.get({ owner: 'me', repo: 'mine' })).data.description;
  },
  async anthropic() {
    const { Anthropic } = require('@anthropic-ai/sdk');
    return (await new Anthropic().models.list()).data[0].id;
  },
  async stripe() {
    const { default: Stripe } = await import('stripe');
    return (await new Stripe('#{SECRETS.STRIPE}').balance.retrieve()).said;
  },
};

calls[process.argv[2]]().then(
  (said) => {
    console.log(said);
    process.exit(0);
  },
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
