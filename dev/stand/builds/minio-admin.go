// Creates or updates one MinIO user with one policy of its own.
// The admin API encrypts what it is sent with Argon2 and an AEAD, which Python's standard library lacks.
//
//	minio-admin <host:port> <root-user> <root-password> <user> <password> <policy-name> <policy-file>
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/minio/madmin-go/v3"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

func main() {
	if len(os.Args) != 8 {
		fmt.Fprintln(os.Stderr, "minio-admin: want host, root user, root password, user, password, policy, policy file")
		os.Exit(2)
	}
	if err := setUser(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "minio-admin:", err)
		os.Exit(1)
	}
}

func setUser(arg []string) error {
	host, rootUser, rootPassword := arg[0], arg[1], arg[2]
	user, password, policyName, policyFile := arg[3], arg[4], arg[5], arg[6]
	policy, err := os.ReadFile(policyFile)
	if err != nil {
		return err
	}
	client, err := madmin.NewWithOptions(host, &madmin.Options{
		Creds: credentials.NewStaticV4(rootUser, rootPassword, ""),
	})
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := client.AddCannedPolicy(ctx, policyName, policy); err != nil {
		return fmt.Errorf("policy %s: %w", policyName, err)
	}
	if err := client.AddUser(ctx, user, password); err != nil {
		return fmt.Errorf("user %s: %w", user, err)
	}
	_, err = client.AttachPolicy(ctx, madmin.PolicyAssociationReq{User: user, Policies: []string{policyName}})
	var answer madmin.ErrorResponse
	if errors.As(err, &answer) && answer.Code == "XMinioAdminPolicyChangeAlreadyApplied" {
		return nil
	}
	return err
}
