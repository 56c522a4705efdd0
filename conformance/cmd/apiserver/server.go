package main

import (
	"context"
	"errors"
	"net"
	"net/url"

	noopoteltrace "go.opentelemetry.io/otel/trace/noop"
	"k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/openapi"
	"k8s.io/apiserver/pkg/util/webhook"
)

// runner is what PrepareRun gives back; the library keeps its type private.
type runner interface {
	RunWithContext(ctx context.Context) error
}

// build assembles the server from validated options. Secrets and custom resources
// share one set of transformers, so one KMS entry means one connection.
func build(o *options.CustomResourceDefinitionsServerOptions, own settings) (runner, error) {
	config, err := genericConfig(o, own)
	if err != nil {
		return nil, err
	}
	etcd := *o.RecommendedOptions.Etcd
	extended := &apiserver.Config{
		GenericConfig: config,
		ExtraConfig: apiserver.ExtraConfig{
			CRDRESTOptionsGetter: options.NewCRDRESTOptionsGetter(etcd, config.ResourceTransformers, config.StorageObjectCountTracker),
			ServiceResolver:      noServices{},
			AuthResolverWrapper: webhook.NewDefaultAuthenticationInfoResolverWrapper(
				nil, nil, config.LoopbackClientConfig, noopoteltrace.NewTracerProvider()),
		},
	}
	completed := extended.Complete()
	// Complete() switches discovery off for servers behind an aggregator; here clients
	// come directly and need /apis.
	completed.GenericConfig.EnableDiscovery = true
	server, err := completed.New(genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	secrets, err := secretsAPI(etcd, own.corePrefix, config.ResourceTransformers, config.StorageObjectCountTracker)
	if err != nil {
		return nil, err
	}
	if err := server.GenericAPIServer.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, secrets); err != nil {
		return nil, err
	}
	return server.GenericAPIServer.PrepareRun(), nil
}

func genericConfig(o *options.CustomResourceDefinitionsServerOptions, own settings) (*genericapiserver.RecommendedConfig, error) {
	serving := o.RecommendedOptions.SecureServing
	if err := serving.MaybeDefaultWithSelfSignedCerts("localhost", nil, []net.IP{net.IPv4(127, 0, 0, 1)}); err != nil {
		return nil, err
	}
	tokens, err := tokenfile.NewCSV(own.tokenFile)
	if err != nil {
		return nil, err
	}

	config := genericapiserver.NewRecommendedConfig(apiserver.Codecs)
	if err := o.ServerRunOptions.ApplyTo(&config.Config); err != nil {
		return nil, err
	}
	if err := o.RecommendedOptions.ApplyTo(config); err != nil {
		return nil, err
	}
	if err := o.APIEnablement.ApplyTo(&config.Config, apiserver.DefaultAPIResourceConfigSource(), apiserver.Scheme); err != nil {
		return nil, err
	}
	config.Authentication.Authenticator = group.NewAuthenticatedGroupAdder(bearertoken.New(tokens))
	config.Authorization.Authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()
	config.AdmissionControl = admission.NewChainHandler()
	config.EnableDiscovery = true

	definitions := openapi.GetOpenAPIDefinitionsWithoutDisabledFeatures(openAPIDefinitions)
	namer := openapinamer.NewDefinitionNamer(apiserver.Scheme, coreScheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, namer)
	return config, nil
}

// noServices answers for conversion webhooks, which need Services this server does not have.
type noServices struct{}

func (noServices) ResolveEndpoint(string, string, int32) (*url.URL, error) {
	return nil, errors.New("this server has no Services: conversion webhooks are not available")
}
