module @reranker_2x16_fp32 {
  func.func public @main(
      %ids: tensor<2x16xi32>,
      %lengths: tensor<2xi32>,
      %words: tensor<215x32xf32>,
      %embedding_norm_gamma: tensor<32xf32>,
      %embedding_norm_beta: tensor<32xf32>,
      %block_0_query_weight: tensor<32x32xf32>,
      %block_0_query_bias: tensor<32xf32>,
      %block_0_key_weight: tensor<32x32xf32>,
      %block_0_key_bias: tensor<32xf32>,
      %block_0_value_weight: tensor<32x32xf32>,
      %block_0_value_bias: tensor<32xf32>,
      %block_0_position_keys: tensor<64x32xf32>,
      %block_0_position_queries: tensor<64x32xf32>,
      %block_0_attention_output_weight: tensor<32x32xf32>,
      %block_0_attention_output_bias: tensor<32xf32>,
      %block_0_attention_norm_gamma: tensor<32xf32>,
      %block_0_attention_norm_beta: tensor<32xf32>,
      %block_0_up_weight: tensor<48x32xf32>,
      %block_0_up_bias: tensor<48xf32>,
      %block_0_down_weight: tensor<32x48xf32>,
      %block_0_down_bias: tensor<32xf32>,
      %block_0_output_norm_gamma: tensor<32xf32>,
      %block_0_output_norm_beta: tensor<32xf32>,
      %block_1_query_weight: tensor<32x32xf32>,
      %block_1_query_bias: tensor<32xf32>,
      %block_1_key_weight: tensor<32x32xf32>,
      %block_1_key_bias: tensor<32xf32>,
      %block_1_value_weight: tensor<32x32xf32>,
      %block_1_value_bias: tensor<32xf32>,
      %block_1_position_keys: tensor<64x32xf32>,
      %block_1_position_queries: tensor<64x32xf32>,
      %block_1_attention_output_weight: tensor<32x32xf32>,
      %block_1_attention_output_bias: tensor<32xf32>,
      %block_1_attention_norm_gamma: tensor<32xf32>,
      %block_1_attention_norm_beta: tensor<32xf32>,
      %block_1_up_weight: tensor<48x32xf32>,
      %block_1_up_bias: tensor<48xf32>,
      %block_1_down_weight: tensor<32x48xf32>,
      %block_1_down_bias: tensor<32xf32>,
      %block_1_output_norm_gamma: tensor<32xf32>,
      %block_1_output_norm_beta: tensor<32xf32>,
      %block_2_query_weight: tensor<32x32xf32>,
      %block_2_query_bias: tensor<32xf32>,
      %block_2_key_weight: tensor<32x32xf32>,
      %block_2_key_bias: tensor<32xf32>,
      %block_2_value_weight: tensor<32x32xf32>,
      %block_2_value_bias: tensor<32xf32>,
      %block_2_position_keys: tensor<64x32xf32>,
      %block_2_position_queries: tensor<64x32xf32>,
      %block_2_attention_output_weight: tensor<32x32xf32>,
      %block_2_attention_output_bias: tensor<32xf32>,
      %block_2_attention_norm_gamma: tensor<32xf32>,
      %block_2_attention_norm_beta: tensor<32xf32>,
      %block_2_up_weight: tensor<48x32xf32>,
      %block_2_up_bias: tensor<48xf32>,
      %block_2_down_weight: tensor<32x48xf32>,
      %block_2_down_bias: tensor<32xf32>,
      %block_2_output_norm_gamma: tensor<32xf32>,
      %block_2_output_norm_beta: tensor<32xf32>,
      %head_dense_weight: tensor<32x32xf32>,
      %head_dense_bias: tensor<32xf32>,
      %head_output_weight: tensor<1x32xf32>,
      %head_output_bias: tensor<1xf32>
  ) -> tensor<2xf32> {
    // which tokens lie inside their sequences
    %mask_broadcast_0 = stablehlo.broadcast_in_dim %lengths, dims = [0] : (tensor<2xi32>) -> tensor<2x16xi32>
    %mask_iota_1 = stablehlo.iota dim = 1 : tensor<2x16xi32>
    %mask_compare_2 = stablehlo.compare LT, %mask_iota_1, %mask_broadcast_0, SIGNED : (tensor<2x16xi32>, tensor<2x16xi32>) -> tensor<2x16xi1>

    // embedding
    %embedding_rows_3 = "stablehlo.gather"(%words, %ids) {dimension_numbers = #stablehlo.gather<offset_dims = [2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 2>, slice_sizes = array<i64: 1, 32>, indices_are_sorted = false} : (tensor<215x32xf32>, tensor<2x16xi32>) -> tensor<2x16x32xf32>
    %embedding_constant_4 = stablehlo.constant dense<0.0> : tensor<f32>
    %embedding_reduce_5 = stablehlo.reduce(%embedding_rows_3 init: %embedding_constant_4) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %embedding_constant_6 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %embedding_multiply_7 = stablehlo.multiply %embedding_reduce_5, %embedding_constant_6 : tensor<2x16xf32>
    %embedding_broadcast_8 = stablehlo.broadcast_in_dim %embedding_multiply_7, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %embedding_subtract_9 = stablehlo.subtract %embedding_rows_3, %embedding_broadcast_8 : tensor<2x16x32xf32>
    %embedding_multiply_10 = stablehlo.multiply %embedding_subtract_9, %embedding_subtract_9 : tensor<2x16x32xf32>
    %embedding_constant_11 = stablehlo.constant dense<0.0> : tensor<f32>
    %embedding_reduce_12 = stablehlo.reduce(%embedding_multiply_10 init: %embedding_constant_11) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %embedding_constant_13 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %embedding_multiply_14 = stablehlo.multiply %embedding_reduce_12, %embedding_constant_13 : tensor<2x16xf32>
    %embedding_constant_15 = stablehlo.constant dense<1.00000001e-07> : tensor<2x16xf32>
    %embedding_add_16 = stablehlo.add %embedding_multiply_14, %embedding_constant_15 : tensor<2x16xf32>
    %embedding_rsqrt_17 = stablehlo.rsqrt %embedding_add_16 : tensor<2x16xf32>
    %embedding_broadcast_18 = stablehlo.broadcast_in_dim %embedding_rsqrt_17, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %embedding_multiply_19 = stablehlo.multiply %embedding_subtract_9, %embedding_broadcast_18 : tensor<2x16x32xf32>
    %embedding_broadcast_20 = stablehlo.broadcast_in_dim %embedding_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %embedding_multiply_21 = stablehlo.multiply %embedding_multiply_19, %embedding_broadcast_20 : tensor<2x16x32xf32>
    %embedding_broadcast_22 = stablehlo.broadcast_in_dim %embedding_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %embedding_add_23 = stablehlo.add %embedding_multiply_21, %embedding_broadcast_22 : tensor<2x16x32xf32>

    // block 0: attention
    %b0_dot_24 = stablehlo.dot_general %embedding_add_23, %block_0_query_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b0_broadcast_25 = stablehlo.broadcast_in_dim %block_0_query_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_26 = stablehlo.add %b0_dot_24, %b0_broadcast_25 : tensor<2x16x32xf32>
    %b0_reshape_27 = stablehlo.reshape %b0_add_26 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b0_dot_28 = stablehlo.dot_general %embedding_add_23, %block_0_key_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b0_broadcast_29 = stablehlo.broadcast_in_dim %block_0_key_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_30 = stablehlo.add %b0_dot_28, %b0_broadcast_29 : tensor<2x16x32xf32>
    %b0_reshape_31 = stablehlo.reshape %b0_add_30 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b0_dot_32 = stablehlo.dot_general %embedding_add_23, %block_0_value_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b0_broadcast_33 = stablehlo.broadcast_in_dim %block_0_value_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_34 = stablehlo.add %b0_dot_32, %b0_broadcast_33 : tensor<2x16x32xf32>
    %b0_reshape_35 = stablehlo.reshape %b0_add_34 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b0_dot_36 = stablehlo.dot_general %b0_reshape_27, %b0_reshape_31, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [HIGHEST, HIGHEST] : (tensor<2x16x4x8xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x16x16xf32>
    %b0_constant_37 = stablehlo.constant dense<[47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17]> : tensor<31xi32>
    %b0_rows_38 = "stablehlo.gather"(%block_0_position_keys, %b0_constant_37) {dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 32>, indices_are_sorted = false} : (tensor<64x32xf32>, tensor<31xi32>) -> tensor<31x32xf32>
    %b0_reshape_39 = stablehlo.reshape %b0_rows_38 : (tensor<31x32xf32>) -> tensor<31x4x8xf32>
    %b0_dot_40 = stablehlo.dot_general %b0_reshape_27, %b0_reshape_39, batching_dims = [2] x [1], contracting_dims = [3] x [2], precision = [HIGHEST, HIGHEST] : (tensor<2x16x4x8xf32>, tensor<31x4x8xf32>) -> tensor<4x2x16x31xf32>
    %b0_constant_41 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_pad_42 = stablehlo.pad %b0_dot_40, %b0_constant_41, low = [0, 0, 0, 0], high = [0, 0, 0, 1], interior = [0, 0, 0, 0] : (tensor<4x2x16x31xf32>, tensor<f32>) -> tensor<4x2x16x32xf32>
    %b0_reshape_43 = stablehlo.reshape %b0_pad_42 : (tensor<4x2x16x32xf32>) -> tensor<4x2x512xf32>
    %b0_slice_44 = stablehlo.slice %b0_reshape_43 [0:4, 0:2, 15:511] : (tensor<4x2x512xf32>) -> tensor<4x2x496xf32>
    %b0_reshape_45 = stablehlo.reshape %b0_slice_44 : (tensor<4x2x496xf32>) -> tensor<4x2x16x31xf32>
    %b0_slice_46 = stablehlo.slice %b0_reshape_45 [0:4, 0:2, 0:16, 0:16] : (tensor<4x2x16x31xf32>) -> tensor<4x2x16x16xf32>
    %b0_transpose_47 = stablehlo.transpose %b0_slice_46, dims = [1, 0, 2, 3] : (tensor<4x2x16x16xf32>) -> tensor<2x4x16x16xf32>
    %b0_add_48 = stablehlo.add %b0_dot_36, %b0_transpose_47 : tensor<2x4x16x16xf32>
    %b0_constant_49 = stablehlo.constant dense<[17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47]> : tensor<31xi32>
    %b0_rows_50 = "stablehlo.gather"(%block_0_position_queries, %b0_constant_49) {dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 32>, indices_are_sorted = false} : (tensor<64x32xf32>, tensor<31xi32>) -> tensor<31x32xf32>
    %b0_reshape_51 = stablehlo.reshape %b0_rows_50 : (tensor<31x32xf32>) -> tensor<31x4x8xf32>
    %b0_dot_52 = stablehlo.dot_general %b0_reshape_31, %b0_reshape_51, batching_dims = [2] x [1], contracting_dims = [3] x [2], precision = [HIGHEST, HIGHEST] : (tensor<2x16x4x8xf32>, tensor<31x4x8xf32>) -> tensor<4x2x16x31xf32>
    %b0_constant_53 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_pad_54 = stablehlo.pad %b0_dot_52, %b0_constant_53, low = [0, 0, 0, 0], high = [0, 0, 0, 1], interior = [0, 0, 0, 0] : (tensor<4x2x16x31xf32>, tensor<f32>) -> tensor<4x2x16x32xf32>
    %b0_reshape_55 = stablehlo.reshape %b0_pad_54 : (tensor<4x2x16x32xf32>) -> tensor<4x2x512xf32>
    %b0_slice_56 = stablehlo.slice %b0_reshape_55 [0:4, 0:2, 15:511] : (tensor<4x2x512xf32>) -> tensor<4x2x496xf32>
    %b0_reshape_57 = stablehlo.reshape %b0_slice_56 : (tensor<4x2x496xf32>) -> tensor<4x2x16x31xf32>
    %b0_slice_58 = stablehlo.slice %b0_reshape_57 [0:4, 0:2, 0:16, 0:16] : (tensor<4x2x16x31xf32>) -> tensor<4x2x16x16xf32>
    %b0_transpose_59 = stablehlo.transpose %b0_slice_58, dims = [1, 0, 3, 2] : (tensor<4x2x16x16xf32>) -> tensor<2x4x16x16xf32>
    %b0_add_60 = stablehlo.add %b0_add_48, %b0_transpose_59 : tensor<2x4x16x16xf32>
    %b0_constant_61 = stablehlo.constant dense<0.204124153> : tensor<2x4x16x16xf32>
    %b0_multiply_62 = stablehlo.multiply %b0_add_60, %b0_constant_61 : tensor<2x4x16x16xf32>
    %b0_broadcast_63 = stablehlo.broadcast_in_dim %mask_compare_2, dims = [0, 2] : (tensor<2x16xi1>) -> tensor<2x16x16xi1>
    %b0_constant_64 = stablehlo.constant dense<-1.00000002e+30> : tensor<2x4x16x16xf32>
    %b0_broadcast_65 = stablehlo.broadcast_in_dim %b0_broadcast_63, dims = [0, 2, 3] : (tensor<2x16x16xi1>) -> tensor<2x4x16x16xi1>
    %b0_select_66 = stablehlo.select %b0_broadcast_65, %b0_multiply_62, %b0_constant_64 : tensor<2x4x16x16xi1>, tensor<2x4x16x16xf32>
    %b0_constant_67 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %b0_reduce_68 = stablehlo.reduce(%b0_select_66 init: %b0_constant_67) applies stablehlo.maximum across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b0_broadcast_69 = stablehlo.broadcast_in_dim %b0_reduce_68, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b0_subtract_70 = stablehlo.subtract %b0_select_66, %b0_broadcast_69 : tensor<2x4x16x16xf32>
    %b0_exponential_71 = stablehlo.exponential %b0_subtract_70 : tensor<2x4x16x16xf32>
    %b0_constant_72 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_73 = stablehlo.reduce(%b0_exponential_71 init: %b0_constant_72) applies stablehlo.add across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b0_broadcast_74 = stablehlo.broadcast_in_dim %b0_reduce_73, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b0_divide_75 = stablehlo.divide %b0_exponential_71, %b0_broadcast_74 : tensor<2x4x16x16xf32>
    %b0_dot_76 = stablehlo.dot_general %b0_divide_75, %b0_reshape_35, batching_dims = [0, 1] x [0, 2], contracting_dims = [3] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x4x16x16xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x16x8xf32>
    %b0_transpose_77 = stablehlo.transpose %b0_dot_76, dims = [0, 2, 1, 3] : (tensor<2x4x16x8xf32>) -> tensor<2x16x4x8xf32>
    %b0_reshape_78 = stablehlo.reshape %b0_transpose_77 : (tensor<2x16x4x8xf32>) -> tensor<2x16x32xf32>
    %b0_dot_79 = stablehlo.dot_general %b0_reshape_78, %block_0_attention_output_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b0_broadcast_80 = stablehlo.broadcast_in_dim %block_0_attention_output_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_81 = stablehlo.add %b0_dot_79, %b0_broadcast_80 : tensor<2x16x32xf32>
    %b0_add_82 = stablehlo.add %embedding_add_23, %b0_add_81 : tensor<2x16x32xf32>
    %b0_constant_83 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_84 = stablehlo.reduce(%b0_add_82 init: %b0_constant_83) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_85 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_86 = stablehlo.multiply %b0_reduce_84, %b0_constant_85 : tensor<2x16xf32>
    %b0_broadcast_87 = stablehlo.broadcast_in_dim %b0_multiply_86, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_subtract_88 = stablehlo.subtract %b0_add_82, %b0_broadcast_87 : tensor<2x16x32xf32>
    %b0_multiply_89 = stablehlo.multiply %b0_subtract_88, %b0_subtract_88 : tensor<2x16x32xf32>
    %b0_constant_90 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_91 = stablehlo.reduce(%b0_multiply_89 init: %b0_constant_90) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_92 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_93 = stablehlo.multiply %b0_reduce_91, %b0_constant_92 : tensor<2x16xf32>
    %b0_constant_94 = stablehlo.constant dense<1.00000001e-07> : tensor<2x16xf32>
    %b0_add_95 = stablehlo.add %b0_multiply_93, %b0_constant_94 : tensor<2x16xf32>
    %b0_rsqrt_96 = stablehlo.rsqrt %b0_add_95 : tensor<2x16xf32>
    %b0_broadcast_97 = stablehlo.broadcast_in_dim %b0_rsqrt_96, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_98 = stablehlo.multiply %b0_subtract_88, %b0_broadcast_97 : tensor<2x16x32xf32>
    %b0_broadcast_99 = stablehlo.broadcast_in_dim %block_0_attention_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_100 = stablehlo.multiply %b0_multiply_98, %b0_broadcast_99 : tensor<2x16x32xf32>
    %b0_broadcast_101 = stablehlo.broadcast_in_dim %block_0_attention_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_102 = stablehlo.add %b0_multiply_100, %b0_broadcast_101 : tensor<2x16x32xf32>

    // block 0: feed-forward
    %b0_dot_103 = stablehlo.dot_general %b0_add_102, %block_0_up_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<48x32xf32>) -> tensor<2x16x48xf32>
    %b0_broadcast_104 = stablehlo.broadcast_in_dim %block_0_up_bias, dims = [2] : (tensor<48xf32>) -> tensor<2x16x48xf32>
    %b0_add_105 = stablehlo.add %b0_dot_103, %b0_broadcast_104 : tensor<2x16x48xf32>
    %b0_constant_106 = stablehlo.constant dense<0.707106769> : tensor<2x16x48xf32>
    %b0_multiply_107 = stablehlo.multiply %b0_add_105, %b0_constant_106 : tensor<2x16x48xf32>
    %b0_abs_108 = stablehlo.abs %b0_multiply_107 : tensor<2x16x48xf32>
    %b0_constant_109 = stablehlo.constant dense<1.0> : tensor<2x16x48xf32>
    %b0_constant_110 = stablehlo.constant dense<0.327591091> : tensor<2x16x48xf32>
    %b0_multiply_111 = stablehlo.multiply %b0_abs_108, %b0_constant_110 : tensor<2x16x48xf32>
    %b0_add_112 = stablehlo.add %b0_constant_109, %b0_multiply_111 : tensor<2x16x48xf32>
    %b0_divide_113 = stablehlo.divide %b0_constant_109, %b0_add_112 : tensor<2x16x48xf32>
    %b0_constant_114 = stablehlo.constant dense<1.06140542> : tensor<2x16x48xf32>
    %b0_multiply_115 = stablehlo.multiply %b0_divide_113, %b0_constant_114 : tensor<2x16x48xf32>
    %b0_constant_116 = stablehlo.constant dense<-1.45315206> : tensor<2x16x48xf32>
    %b0_add_117 = stablehlo.add %b0_multiply_115, %b0_constant_116 : tensor<2x16x48xf32>
    %b0_multiply_118 = stablehlo.multiply %b0_add_117, %b0_divide_113 : tensor<2x16x48xf32>
    %b0_constant_119 = stablehlo.constant dense<1.42141378> : tensor<2x16x48xf32>
    %b0_add_120 = stablehlo.add %b0_multiply_118, %b0_constant_119 : tensor<2x16x48xf32>
    %b0_multiply_121 = stablehlo.multiply %b0_add_120, %b0_divide_113 : tensor<2x16x48xf32>
    %b0_constant_122 = stablehlo.constant dense<-0.284496725> : tensor<2x16x48xf32>
    %b0_add_123 = stablehlo.add %b0_multiply_121, %b0_constant_122 : tensor<2x16x48xf32>
    %b0_multiply_124 = stablehlo.multiply %b0_add_123, %b0_divide_113 : tensor<2x16x48xf32>
    %b0_constant_125 = stablehlo.constant dense<0.254829586> : tensor<2x16x48xf32>
    %b0_add_126 = stablehlo.add %b0_multiply_124, %b0_constant_125 : tensor<2x16x48xf32>
    %b0_multiply_127 = stablehlo.multiply %b0_add_126, %b0_divide_113 : tensor<2x16x48xf32>
    %b0_multiply_128 = stablehlo.multiply %b0_abs_108, %b0_abs_108 : tensor<2x16x48xf32>
    %b0_negate_129 = stablehlo.negate %b0_multiply_128 : tensor<2x16x48xf32>
    %b0_exponential_130 = stablehlo.exponential %b0_negate_129 : tensor<2x16x48xf32>
    %b0_multiply_131 = stablehlo.multiply %b0_multiply_127, %b0_exponential_130 : tensor<2x16x48xf32>
    %b0_subtract_132 = stablehlo.subtract %b0_constant_109, %b0_multiply_131 : tensor<2x16x48xf32>
    %b0_sign_133 = stablehlo.sign %b0_multiply_107 : tensor<2x16x48xf32>
    %b0_multiply_134 = stablehlo.multiply %b0_sign_133, %b0_subtract_132 : tensor<2x16x48xf32>
    %b0_constant_135 = stablehlo.constant dense<1.0> : tensor<2x16x48xf32>
    %b0_add_136 = stablehlo.add %b0_multiply_134, %b0_constant_135 : tensor<2x16x48xf32>
    %b0_constant_137 = stablehlo.constant dense<0.5> : tensor<2x16x48xf32>
    %b0_multiply_138 = stablehlo.multiply %b0_add_105, %b0_constant_137 : tensor<2x16x48xf32>
    %b0_multiply_139 = stablehlo.multiply %b0_multiply_138, %b0_add_136 : tensor<2x16x48xf32>
    %b0_dot_140 = stablehlo.dot_general %b0_multiply_139, %block_0_down_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x48xf32>, tensor<32x48xf32>) -> tensor<2x16x32xf32>
    %b0_broadcast_141 = stablehlo.broadcast_in_dim %block_0_down_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_142 = stablehlo.add %b0_dot_140, %b0_broadcast_141 : tensor<2x16x32xf32>
    %b0_add_143 = stablehlo.add %b0_add_102, %b0_add_142 : tensor<2x16x32xf32>
    %b0_constant_144 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_145 = stablehlo.reduce(%b0_add_143 init: %b0_constant_144) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_146 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_147 = stablehlo.multiply %b0_reduce_145, %b0_constant_146 : tensor<2x16xf32>
    %b0_broadcast_148 = stablehlo.broadcast_in_dim %b0_multiply_147, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_subtract_149 = stablehlo.subtract %b0_add_143, %b0_broadcast_148 : tensor<2x16x32xf32>
    %b0_multiply_150 = stablehlo.multiply %b0_subtract_149, %b0_subtract_149 : tensor<2x16x32xf32>
    %b0_constant_151 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_152 = stablehlo.reduce(%b0_multiply_150 init: %b0_constant_151) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_153 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_154 = stablehlo.multiply %b0_reduce_152, %b0_constant_153 : tensor<2x16xf32>
    %b0_constant_155 = stablehlo.constant dense<1.00000001e-07> : tensor<2x16xf32>
    %b0_add_156 = stablehlo.add %b0_multiply_154, %b0_constant_155 : tensor<2x16xf32>
    %b0_rsqrt_157 = stablehlo.rsqrt %b0_add_156 : tensor<2x16xf32>
    %b0_broadcast_158 = stablehlo.broadcast_in_dim %b0_rsqrt_157, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_159 = stablehlo.multiply %b0_subtract_149, %b0_broadcast_158 : tensor<2x16x32xf32>
    %b0_broadcast_160 = stablehlo.broadcast_in_dim %block_0_output_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_161 = stablehlo.multiply %b0_multiply_159, %b0_broadcast_160 : tensor<2x16x32xf32>
    %b0_broadcast_162 = stablehlo.broadcast_in_dim %block_0_output_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_163 = stablehlo.add %b0_multiply_161, %b0_broadcast_162 : tensor<2x16x32xf32>

    // block 1: attention
    %b1_dot_164 = stablehlo.dot_general %b0_add_163, %block_1_query_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b1_broadcast_165 = stablehlo.broadcast_in_dim %block_1_query_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_add_166 = stablehlo.add %b1_dot_164, %b1_broadcast_165 : tensor<2x16x32xf32>
    %b1_reshape_167 = stablehlo.reshape %b1_add_166 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b1_dot_168 = stablehlo.dot_general %b0_add_163, %block_1_key_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b1_broadcast_169 = stablehlo.broadcast_in_dim %block_1_key_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_add_170 = stablehlo.add %b1_dot_168, %b1_broadcast_169 : tensor<2x16x32xf32>
    %b1_reshape_171 = stablehlo.reshape %b1_add_170 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b1_dot_172 = stablehlo.dot_general %b0_add_163, %block_1_value_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b1_broadcast_173 = stablehlo.broadcast_in_dim %block_1_value_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_add_174 = stablehlo.add %b1_dot_172, %b1_broadcast_173 : tensor<2x16x32xf32>
    %b1_reshape_175 = stablehlo.reshape %b1_add_174 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b1_dot_176 = stablehlo.dot_general %b1_reshape_167, %b1_reshape_171, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [HIGHEST, HIGHEST] : (tensor<2x16x4x8xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x16x16xf32>
    %b1_constant_177 = stablehlo.constant dense<[47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17]> : tensor<31xi32>
    %b1_rows_178 = "stablehlo.gather"(%block_1_position_keys, %b1_constant_177) {dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 32>, indices_are_sorted = false} : (tensor<64x32xf32>, tensor<31xi32>) -> tensor<31x32xf32>
    %b1_reshape_179 = stablehlo.reshape %b1_rows_178 : (tensor<31x32xf32>) -> tensor<31x4x8xf32>
    %b1_dot_180 = stablehlo.dot_general %b1_reshape_167, %b1_reshape_179, batching_dims = [2] x [1], contracting_dims = [3] x [2], precision = [HIGHEST, HIGHEST] : (tensor<2x16x4x8xf32>, tensor<31x4x8xf32>) -> tensor<4x2x16x31xf32>
    %b1_constant_181 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_pad_182 = stablehlo.pad %b1_dot_180, %b1_constant_181, low = [0, 0, 0, 0], high = [0, 0, 0, 1], interior = [0, 0, 0, 0] : (tensor<4x2x16x31xf32>, tensor<f32>) -> tensor<4x2x16x32xf32>
    %b1_reshape_183 = stablehlo.reshape %b1_pad_182 : (tensor<4x2x16x32xf32>) -> tensor<4x2x512xf32>
    %b1_slice_184 = stablehlo.slice %b1_reshape_183 [0:4, 0:2, 15:511] : (tensor<4x2x512xf32>) -> tensor<4x2x496xf32>
    %b1_reshape_185 = stablehlo.reshape %b1_slice_184 : (tensor<4x2x496xf32>) -> tensor<4x2x16x31xf32>
    %b1_slice_186 = stablehlo.slice %b1_reshape_185 [0:4, 0:2, 0:16, 0:16] : (tensor<4x2x16x31xf32>) -> tensor<4x2x16x16xf32>
    %b1_transpose_187 = stablehlo.transpose %b1_slice_186, dims = [1, 0, 2, 3] : (tensor<4x2x16x16xf32>) -> tensor<2x4x16x16xf32>
    %b1_add_188 = stablehlo.add %b1_dot_176, %b1_transpose_187 : tensor<2x4x16x16xf32>
    %b1_constant_189 = stablehlo.constant dense<[17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47]> : tensor<31xi32>
    %b1_rows_190 = "stablehlo.gather"(%block_1_position_queries, %b1_constant_189) {dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 32>, indices_are_sorted = false} : (tensor<64x32xf32>, tensor<31xi32>) -> tensor<31x32xf32>
    %b1_reshape_191 = stablehlo.reshape %b1_rows_190 : (tensor<31x32xf32>) -> tensor<31x4x8xf32>
    %b1_dot_192 = stablehlo.dot_general %b1_reshape_171, %b1_reshape_191, batching_dims = [2] x [1], contracting_dims = [3] x [2], precision = [HIGHEST, HIGHEST] : (tensor<2x16x4x8xf32>, tensor<31x4x8xf32>) -> tensor<4x2x16x31xf32>
    %b1_constant_193 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_pad_194 = stablehlo.pad %b1_dot_192, %b1_constant_193, low = [0, 0, 0, 0], high = [0, 0, 0, 1], interior = [0, 0, 0, 0] : (tensor<4x2x16x31xf32>, tensor<f32>) -> tensor<4x2x16x32xf32>
    %b1_reshape_195 = stablehlo.reshape %b1_pad_194 : (tensor<4x2x16x32xf32>) -> tensor<4x2x512xf32>
    %b1_slice_196 = stablehlo.slice %b1_reshape_195 [0:4, 0:2, 15:511] : (tensor<4x2x512xf32>) -> tensor<4x2x496xf32>
    %b1_reshape_197 = stablehlo.reshape %b1_slice_196 : (tensor<4x2x496xf32>) -> tensor<4x2x16x31xf32>
    %b1_slice_198 = stablehlo.slice %b1_reshape_197 [0:4, 0:2, 0:16, 0:16] : (tensor<4x2x16x31xf32>) -> tensor<4x2x16x16xf32>
    %b1_transpose_199 = stablehlo.transpose %b1_slice_198, dims = [1, 0, 3, 2] : (tensor<4x2x16x16xf32>) -> tensor<2x4x16x16xf32>
    %b1_add_200 = stablehlo.add %b1_add_188, %b1_transpose_199 : tensor<2x4x16x16xf32>
    %b1_constant_201 = stablehlo.constant dense<0.204124153> : tensor<2x4x16x16xf32>
    %b1_multiply_202 = stablehlo.multiply %b1_add_200, %b1_constant_201 : tensor<2x4x16x16xf32>
    %b1_constant_203 = stablehlo.constant dense<-1.00000002e+30> : tensor<2x4x16x16xf32>
    %b1_broadcast_204 = stablehlo.broadcast_in_dim %b0_broadcast_63, dims = [0, 2, 3] : (tensor<2x16x16xi1>) -> tensor<2x4x16x16xi1>
    %b1_select_205 = stablehlo.select %b1_broadcast_204, %b1_multiply_202, %b1_constant_203 : tensor<2x4x16x16xi1>, tensor<2x4x16x16xf32>
    %b1_constant_206 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %b1_reduce_207 = stablehlo.reduce(%b1_select_205 init: %b1_constant_206) applies stablehlo.maximum across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b1_broadcast_208 = stablehlo.broadcast_in_dim %b1_reduce_207, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b1_subtract_209 = stablehlo.subtract %b1_select_205, %b1_broadcast_208 : tensor<2x4x16x16xf32>
    %b1_exponential_210 = stablehlo.exponential %b1_subtract_209 : tensor<2x4x16x16xf32>
    %b1_constant_211 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_212 = stablehlo.reduce(%b1_exponential_210 init: %b1_constant_211) applies stablehlo.add across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b1_broadcast_213 = stablehlo.broadcast_in_dim %b1_reduce_212, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b1_divide_214 = stablehlo.divide %b1_exponential_210, %b1_broadcast_213 : tensor<2x4x16x16xf32>
    %b1_dot_215 = stablehlo.dot_general %b1_divide_214, %b1_reshape_175, batching_dims = [0, 1] x [0, 2], contracting_dims = [3] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x4x16x16xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x16x8xf32>
    %b1_transpose_216 = stablehlo.transpose %b1_dot_215, dims = [0, 2, 1, 3] : (tensor<2x4x16x8xf32>) -> tensor<2x16x4x8xf32>
    %b1_reshape_217 = stablehlo.reshape %b1_transpose_216 : (tensor<2x16x4x8xf32>) -> tensor<2x16x32xf32>
    %b1_dot_218 = stablehlo.dot_general %b1_reshape_217, %block_1_attention_output_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b1_broadcast_219 = stablehlo.broadcast_in_dim %block_1_attention_output_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_add_220 = stablehlo.add %b1_dot_218, %b1_broadcast_219 : tensor<2x16x32xf32>
    %b1_add_221 = stablehlo.add %b0_add_163, %b1_add_220 : tensor<2x16x32xf32>
    %b1_constant_222 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_223 = stablehlo.reduce(%b1_add_221 init: %b1_constant_222) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b1_constant_224 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b1_multiply_225 = stablehlo.multiply %b1_reduce_223, %b1_constant_224 : tensor<2x16xf32>
    %b1_broadcast_226 = stablehlo.broadcast_in_dim %b1_multiply_225, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b1_subtract_227 = stablehlo.subtract %b1_add_221, %b1_broadcast_226 : tensor<2x16x32xf32>
    %b1_multiply_228 = stablehlo.multiply %b1_subtract_227, %b1_subtract_227 : tensor<2x16x32xf32>
    %b1_constant_229 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_230 = stablehlo.reduce(%b1_multiply_228 init: %b1_constant_229) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b1_constant_231 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b1_multiply_232 = stablehlo.multiply %b1_reduce_230, %b1_constant_231 : tensor<2x16xf32>
    %b1_constant_233 = stablehlo.constant dense<1.00000001e-07> : tensor<2x16xf32>
    %b1_add_234 = stablehlo.add %b1_multiply_232, %b1_constant_233 : tensor<2x16xf32>
    %b1_rsqrt_235 = stablehlo.rsqrt %b1_add_234 : tensor<2x16xf32>
    %b1_broadcast_236 = stablehlo.broadcast_in_dim %b1_rsqrt_235, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b1_multiply_237 = stablehlo.multiply %b1_subtract_227, %b1_broadcast_236 : tensor<2x16x32xf32>
    %b1_broadcast_238 = stablehlo.broadcast_in_dim %block_1_attention_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_multiply_239 = stablehlo.multiply %b1_multiply_237, %b1_broadcast_238 : tensor<2x16x32xf32>
    %b1_broadcast_240 = stablehlo.broadcast_in_dim %block_1_attention_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_add_241 = stablehlo.add %b1_multiply_239, %b1_broadcast_240 : tensor<2x16x32xf32>

    // block 1: feed-forward
    %b1_dot_242 = stablehlo.dot_general %b1_add_241, %block_1_up_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<48x32xf32>) -> tensor<2x16x48xf32>
    %b1_broadcast_243 = stablehlo.broadcast_in_dim %block_1_up_bias, dims = [2] : (tensor<48xf32>) -> tensor<2x16x48xf32>
    %b1_add_244 = stablehlo.add %b1_dot_242, %b1_broadcast_243 : tensor<2x16x48xf32>
    %b1_constant_245 = stablehlo.constant dense<0.707106769> : tensor<2x16x48xf32>
    %b1_multiply_246 = stablehlo.multiply %b1_add_244, %b1_constant_245 : tensor<2x16x48xf32>
    %b1_abs_247 = stablehlo.abs %b1_multiply_246 : tensor<2x16x48xf32>
    %b1_constant_248 = stablehlo.constant dense<1.0> : tensor<2x16x48xf32>
    %b1_constant_249 = stablehlo.constant dense<0.327591091> : tensor<2x16x48xf32>
    %b1_multiply_250 = stablehlo.multiply %b1_abs_247, %b1_constant_249 : tensor<2x16x48xf32>
    %b1_add_251 = stablehlo.add %b1_constant_248, %b1_multiply_250 : tensor<2x16x48xf32>
    %b1_divide_252 = stablehlo.divide %b1_constant_248, %b1_add_251 : tensor<2x16x48xf32>
    %b1_constant_253 = stablehlo.constant dense<1.06140542> : tensor<2x16x48xf32>
    %b1_multiply_254 = stablehlo.multiply %b1_divide_252, %b1_constant_253 : tensor<2x16x48xf32>
    %b1_constant_255 = stablehlo.constant dense<-1.45315206> : tensor<2x16x48xf32>
    %b1_add_256 = stablehlo.add %b1_multiply_254, %b1_constant_255 : tensor<2x16x48xf32>
    %b1_multiply_257 = stablehlo.multiply %b1_add_256, %b1_divide_252 : tensor<2x16x48xf32>
    %b1_constant_258 = stablehlo.constant dense<1.42141378> : tensor<2x16x48xf32>
    %b1_add_259 = stablehlo.add %b1_multiply_257, %b1_constant_258 : tensor<2x16x48xf32>
    %b1_multiply_260 = stablehlo.multiply %b1_add_259, %b1_divide_252 : tensor<2x16x48xf32>
    %b1_constant_261 = stablehlo.constant dense<-0.284496725> : tensor<2x16x48xf32>
    %b1_add_262 = stablehlo.add %b1_multiply_260, %b1_constant_261 : tensor<2x16x48xf32>
    %b1_multiply_263 = stablehlo.multiply %b1_add_262, %b1_divide_252 : tensor<2x16x48xf32>
    %b1_constant_264 = stablehlo.constant dense<0.254829586> : tensor<2x16x48xf32>
    %b1_add_265 = stablehlo.add %b1_multiply_263, %b1_constant_264 : tensor<2x16x48xf32>
    %b1_multiply_266 = stablehlo.multiply %b1_add_265, %b1_divide_252 : tensor<2x16x48xf32>
    %b1_multiply_267 = stablehlo.multiply %b1_abs_247, %b1_abs_247 : tensor<2x16x48xf32>
    %b1_negate_268 = stablehlo.negate %b1_multiply_267 : tensor<2x16x48xf32>
    %b1_exponential_269 = stablehlo.exponential %b1_negate_268 : tensor<2x16x48xf32>
    %b1_multiply_270 = stablehlo.multiply %b1_multiply_266, %b1_exponential_269 : tensor<2x16x48xf32>
    %b1_subtract_271 = stablehlo.subtract %b1_constant_248, %b1_multiply_270 : tensor<2x16x48xf32>
    %b1_sign_272 = stablehlo.sign %b1_multiply_246 : tensor<2x16x48xf32>
    %b1_multiply_273 = stablehlo.multiply %b1_sign_272, %b1_subtract_271 : tensor<2x16x48xf32>
    %b1_constant_274 = stablehlo.constant dense<1.0> : tensor<2x16x48xf32>
    %b1_add_275 = stablehlo.add %b1_multiply_273, %b1_constant_274 : tensor<2x16x48xf32>
    %b1_constant_276 = stablehlo.constant dense<0.5> : tensor<2x16x48xf32>
    %b1_multiply_277 = stablehlo.multiply %b1_add_244, %b1_constant_276 : tensor<2x16x48xf32>
    %b1_multiply_278 = stablehlo.multiply %b1_multiply_277, %b1_add_275 : tensor<2x16x48xf32>
    %b1_dot_279 = stablehlo.dot_general %b1_multiply_278, %block_1_down_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x48xf32>, tensor<32x48xf32>) -> tensor<2x16x32xf32>
    %b1_broadcast_280 = stablehlo.broadcast_in_dim %block_1_down_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_add_281 = stablehlo.add %b1_dot_279, %b1_broadcast_280 : tensor<2x16x32xf32>
    %b1_add_282 = stablehlo.add %b1_add_241, %b1_add_281 : tensor<2x16x32xf32>
    %b1_constant_283 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_284 = stablehlo.reduce(%b1_add_282 init: %b1_constant_283) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b1_constant_285 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b1_multiply_286 = stablehlo.multiply %b1_reduce_284, %b1_constant_285 : tensor<2x16xf32>
    %b1_broadcast_287 = stablehlo.broadcast_in_dim %b1_multiply_286, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b1_subtract_288 = stablehlo.subtract %b1_add_282, %b1_broadcast_287 : tensor<2x16x32xf32>
    %b1_multiply_289 = stablehlo.multiply %b1_subtract_288, %b1_subtract_288 : tensor<2x16x32xf32>
    %b1_constant_290 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_291 = stablehlo.reduce(%b1_multiply_289 init: %b1_constant_290) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b1_constant_292 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b1_multiply_293 = stablehlo.multiply %b1_reduce_291, %b1_constant_292 : tensor<2x16xf32>
    %b1_constant_294 = stablehlo.constant dense<1.00000001e-07> : tensor<2x16xf32>
    %b1_add_295 = stablehlo.add %b1_multiply_293, %b1_constant_294 : tensor<2x16xf32>
    %b1_rsqrt_296 = stablehlo.rsqrt %b1_add_295 : tensor<2x16xf32>
    %b1_broadcast_297 = stablehlo.broadcast_in_dim %b1_rsqrt_296, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b1_multiply_298 = stablehlo.multiply %b1_subtract_288, %b1_broadcast_297 : tensor<2x16x32xf32>
    %b1_broadcast_299 = stablehlo.broadcast_in_dim %block_1_output_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_multiply_300 = stablehlo.multiply %b1_multiply_298, %b1_broadcast_299 : tensor<2x16x32xf32>
    %b1_broadcast_301 = stablehlo.broadcast_in_dim %block_1_output_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_add_302 = stablehlo.add %b1_multiply_300, %b1_broadcast_301 : tensor<2x16x32xf32>

    // block 2: attention
    %b2_slice_303 = stablehlo.slice %b1_add_302 [0:2, 0:1, 0:32] : (tensor<2x16x32xf32>) -> tensor<2x1x32xf32>
    %b2_dot_304 = stablehlo.dot_general %b2_slice_303, %block_2_query_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x32xf32>, tensor<32x32xf32>) -> tensor<2x1x32xf32>
    %b2_broadcast_305 = stablehlo.broadcast_in_dim %block_2_query_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b2_add_306 = stablehlo.add %b2_dot_304, %b2_broadcast_305 : tensor<2x1x32xf32>
    %b2_reshape_307 = stablehlo.reshape %b2_add_306 : (tensor<2x1x32xf32>) -> tensor<2x1x4x8xf32>
    %b2_dot_308 = stablehlo.dot_general %b1_add_302, %block_2_key_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b2_broadcast_309 = stablehlo.broadcast_in_dim %block_2_key_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b2_add_310 = stablehlo.add %b2_dot_308, %b2_broadcast_309 : tensor<2x16x32xf32>
    %b2_reshape_311 = stablehlo.reshape %b2_add_310 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b2_dot_312 = stablehlo.dot_general %b1_add_302, %block_2_value_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b2_broadcast_313 = stablehlo.broadcast_in_dim %block_2_value_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b2_add_314 = stablehlo.add %b2_dot_312, %b2_broadcast_313 : tensor<2x16x32xf32>
    %b2_reshape_315 = stablehlo.reshape %b2_add_314 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b2_dot_316 = stablehlo.dot_general %b2_reshape_307, %b2_reshape_311, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [HIGHEST, HIGHEST] : (tensor<2x1x4x8xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x1x16xf32>
    %b2_constant_317 = stablehlo.constant dense<[47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17]> : tensor<31xi32>
    %b2_rows_318 = "stablehlo.gather"(%block_2_position_keys, %b2_constant_317) {dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 32>, indices_are_sorted = false} : (tensor<64x32xf32>, tensor<31xi32>) -> tensor<31x32xf32>
    %b2_reshape_319 = stablehlo.reshape %b2_rows_318 : (tensor<31x32xf32>) -> tensor<31x4x8xf32>
    %b2_dot_320 = stablehlo.dot_general %b2_reshape_307, %b2_reshape_319, batching_dims = [2] x [1], contracting_dims = [3] x [2], precision = [HIGHEST, HIGHEST] : (tensor<2x1x4x8xf32>, tensor<31x4x8xf32>) -> tensor<4x2x1x31xf32>
    %b2_slice_321 = stablehlo.slice %b2_dot_320 [0:4, 0:2, 0:1, 15:31] : (tensor<4x2x1x31xf32>) -> tensor<4x2x1x16xf32>
    %b2_transpose_322 = stablehlo.transpose %b2_slice_321, dims = [1, 0, 2, 3] : (tensor<4x2x1x16xf32>) -> tensor<2x4x1x16xf32>
    %b2_add_323 = stablehlo.add %b2_dot_316, %b2_transpose_322 : tensor<2x4x1x16xf32>
    %b2_constant_324 = stablehlo.constant dense<[17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47]> : tensor<31xi32>
    %b2_rows_325 = "stablehlo.gather"(%block_2_position_queries, %b2_constant_324) {dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 32>, indices_are_sorted = false} : (tensor<64x32xf32>, tensor<31xi32>) -> tensor<31x32xf32>
    %b2_reshape_326 = stablehlo.reshape %b2_rows_325 : (tensor<31x32xf32>) -> tensor<31x4x8xf32>
    %b2_dot_327 = stablehlo.dot_general %b2_reshape_311, %b2_reshape_326, batching_dims = [2] x [1], contracting_dims = [3] x [2], precision = [HIGHEST, HIGHEST] : (tensor<2x16x4x8xf32>, tensor<31x4x8xf32>) -> tensor<4x2x16x31xf32>
    %b2_constant_328 = stablehlo.constant dense<0.0> : tensor<f32>
    %b2_pad_329 = stablehlo.pad %b2_dot_327, %b2_constant_328, low = [0, 0, 0, 0], high = [0, 0, 0, 1], interior = [0, 0, 0, 0] : (tensor<4x2x16x31xf32>, tensor<f32>) -> tensor<4x2x16x32xf32>
    %b2_reshape_330 = stablehlo.reshape %b2_pad_329 : (tensor<4x2x16x32xf32>) -> tensor<4x2x512xf32>
    %b2_slice_331 = stablehlo.slice %b2_reshape_330 [0:4, 0:2, 15:511] : (tensor<4x2x512xf32>) -> tensor<4x2x496xf32>
    %b2_reshape_332 = stablehlo.reshape %b2_slice_331 : (tensor<4x2x496xf32>) -> tensor<4x2x16x31xf32>
    %b2_slice_333 = stablehlo.slice %b2_reshape_332 [0:4, 0:2, 0:16, 0:16] : (tensor<4x2x16x31xf32>) -> tensor<4x2x16x16xf32>
    %b2_transpose_334 = stablehlo.transpose %b2_slice_333, dims = [1, 0, 3, 2] : (tensor<4x2x16x16xf32>) -> tensor<2x4x16x16xf32>
    %b2_slice_335 = stablehlo.slice %b2_transpose_334 [0:2, 0:4, 0:1, 0:16] : (tensor<2x4x16x16xf32>) -> tensor<2x4x1x16xf32>
    %b2_add_336 = stablehlo.add %b2_add_323, %b2_slice_335 : tensor<2x4x1x16xf32>
    %b2_constant_337 = stablehlo.constant dense<0.204124153> : tensor<2x4x1x16xf32>
    %b2_multiply_338 = stablehlo.multiply %b2_add_336, %b2_constant_337 : tensor<2x4x1x16xf32>
    %b2_slice_339 = stablehlo.slice %b0_broadcast_63 [0:2, 0:1, 0:16] : (tensor<2x16x16xi1>) -> tensor<2x1x16xi1>
    %b2_constant_340 = stablehlo.constant dense<-1.00000002e+30> : tensor<2x4x1x16xf32>
    %b2_broadcast_341 = stablehlo.broadcast_in_dim %b2_slice_339, dims = [0, 2, 3] : (tensor<2x1x16xi1>) -> tensor<2x4x1x16xi1>
    %b2_select_342 = stablehlo.select %b2_broadcast_341, %b2_multiply_338, %b2_constant_340 : tensor<2x4x1x16xi1>, tensor<2x4x1x16xf32>
    %b2_constant_343 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %b2_reduce_344 = stablehlo.reduce(%b2_select_342 init: %b2_constant_343) applies stablehlo.maximum across dimensions = [3] : (tensor<2x4x1x16xf32>, tensor<f32>) -> tensor<2x4x1xf32>
    %b2_broadcast_345 = stablehlo.broadcast_in_dim %b2_reduce_344, dims = [0, 1, 2] : (tensor<2x4x1xf32>) -> tensor<2x4x1x16xf32>
    %b2_subtract_346 = stablehlo.subtract %b2_select_342, %b2_broadcast_345 : tensor<2x4x1x16xf32>
    %b2_exponential_347 = stablehlo.exponential %b2_subtract_346 : tensor<2x4x1x16xf32>
    %b2_constant_348 = stablehlo.constant dense<0.0> : tensor<f32>
    %b2_reduce_349 = stablehlo.reduce(%b2_exponential_347 init: %b2_constant_348) applies stablehlo.add across dimensions = [3] : (tensor<2x4x1x16xf32>, tensor<f32>) -> tensor<2x4x1xf32>
    %b2_broadcast_350 = stablehlo.broadcast_in_dim %b2_reduce_349, dims = [0, 1, 2] : (tensor<2x4x1xf32>) -> tensor<2x4x1x16xf32>
    %b2_divide_351 = stablehlo.divide %b2_exponential_347, %b2_broadcast_350 : tensor<2x4x1x16xf32>
    %b2_dot_352 = stablehlo.dot_general %b2_divide_351, %b2_reshape_315, batching_dims = [0, 1] x [0, 2], contracting_dims = [3] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x4x1x16xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x1x8xf32>
    %b2_transpose_353 = stablehlo.transpose %b2_dot_352, dims = [0, 2, 1, 3] : (tensor<2x4x1x8xf32>) -> tensor<2x1x4x8xf32>
    %b2_reshape_354 = stablehlo.reshape %b2_transpose_353 : (tensor<2x1x4x8xf32>) -> tensor<2x1x32xf32>
    %b2_dot_355 = stablehlo.dot_general %b2_reshape_354, %block_2_attention_output_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x32xf32>, tensor<32x32xf32>) -> tensor<2x1x32xf32>
    %b2_broadcast_356 = stablehlo.broadcast_in_dim %block_2_attention_output_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b2_add_357 = stablehlo.add %b2_dot_355, %b2_broadcast_356 : tensor<2x1x32xf32>
    %b2_slice_358 = stablehlo.slice %b1_add_302 [0:2, 0:1, 0:32] : (tensor<2x16x32xf32>) -> tensor<2x1x32xf32>
    %b2_add_359 = stablehlo.add %b2_slice_358, %b2_add_357 : tensor<2x1x32xf32>
    %b2_constant_360 = stablehlo.constant dense<0.0> : tensor<f32>
    %b2_reduce_361 = stablehlo.reduce(%b2_add_359 init: %b2_constant_360) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b2_constant_362 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %b2_multiply_363 = stablehlo.multiply %b2_reduce_361, %b2_constant_362 : tensor<2x1xf32>
    %b2_broadcast_364 = stablehlo.broadcast_in_dim %b2_multiply_363, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %b2_subtract_365 = stablehlo.subtract %b2_add_359, %b2_broadcast_364 : tensor<2x1x32xf32>
    %b2_multiply_366 = stablehlo.multiply %b2_subtract_365, %b2_subtract_365 : tensor<2x1x32xf32>
    %b2_constant_367 = stablehlo.constant dense<0.0> : tensor<f32>
    %b2_reduce_368 = stablehlo.reduce(%b2_multiply_366 init: %b2_constant_367) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b2_constant_369 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %b2_multiply_370 = stablehlo.multiply %b2_reduce_368, %b2_constant_369 : tensor<2x1xf32>
    %b2_constant_371 = stablehlo.constant dense<1.00000001e-07> : tensor<2x1xf32>
    %b2_add_372 = stablehlo.add %b2_multiply_370, %b2_constant_371 : tensor<2x1xf32>
    %b2_rsqrt_373 = stablehlo.rsqrt %b2_add_372 : tensor<2x1xf32>
    %b2_broadcast_374 = stablehlo.broadcast_in_dim %b2_rsqrt_373, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %b2_multiply_375 = stablehlo.multiply %b2_subtract_365, %b2_broadcast_374 : tensor<2x1x32xf32>
    %b2_broadcast_376 = stablehlo.broadcast_in_dim %block_2_attention_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b2_multiply_377 = stablehlo.multiply %b2_multiply_375, %b2_broadcast_376 : tensor<2x1x32xf32>
    %b2_broadcast_378 = stablehlo.broadcast_in_dim %block_2_attention_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b2_add_379 = stablehlo.add %b2_multiply_377, %b2_broadcast_378 : tensor<2x1x32xf32>

    // block 2: feed-forward
    %b2_dot_380 = stablehlo.dot_general %b2_add_379, %block_2_up_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x32xf32>, tensor<48x32xf32>) -> tensor<2x1x48xf32>
    %b2_broadcast_381 = stablehlo.broadcast_in_dim %block_2_up_bias, dims = [2] : (tensor<48xf32>) -> tensor<2x1x48xf32>
    %b2_add_382 = stablehlo.add %b2_dot_380, %b2_broadcast_381 : tensor<2x1x48xf32>
    %b2_constant_383 = stablehlo.constant dense<0.707106769> : tensor<2x1x48xf32>
    %b2_multiply_384 = stablehlo.multiply %b2_add_382, %b2_constant_383 : tensor<2x1x48xf32>
    %b2_abs_385 = stablehlo.abs %b2_multiply_384 : tensor<2x1x48xf32>
    %b2_constant_386 = stablehlo.constant dense<1.0> : tensor<2x1x48xf32>
    %b2_constant_387 = stablehlo.constant dense<0.327591091> : tensor<2x1x48xf32>
    %b2_multiply_388 = stablehlo.multiply %b2_abs_385, %b2_constant_387 : tensor<2x1x48xf32>
    %b2_add_389 = stablehlo.add %b2_constant_386, %b2_multiply_388 : tensor<2x1x48xf32>
    %b2_divide_390 = stablehlo.divide %b2_constant_386, %b2_add_389 : tensor<2x1x48xf32>
    %b2_constant_391 = stablehlo.constant dense<1.06140542> : tensor<2x1x48xf32>
    %b2_multiply_392 = stablehlo.multiply %b2_divide_390, %b2_constant_391 : tensor<2x1x48xf32>
    %b2_constant_393 = stablehlo.constant dense<-1.45315206> : tensor<2x1x48xf32>
    %b2_add_394 = stablehlo.add %b2_multiply_392, %b2_constant_393 : tensor<2x1x48xf32>
    %b2_multiply_395 = stablehlo.multiply %b2_add_394, %b2_divide_390 : tensor<2x1x48xf32>
    %b2_constant_396 = stablehlo.constant dense<1.42141378> : tensor<2x1x48xf32>
    %b2_add_397 = stablehlo.add %b2_multiply_395, %b2_constant_396 : tensor<2x1x48xf32>
    %b2_multiply_398 = stablehlo.multiply %b2_add_397, %b2_divide_390 : tensor<2x1x48xf32>
    %b2_constant_399 = stablehlo.constant dense<-0.284496725> : tensor<2x1x48xf32>
    %b2_add_400 = stablehlo.add %b2_multiply_398, %b2_constant_399 : tensor<2x1x48xf32>
    %b2_multiply_401 = stablehlo.multiply %b2_add_400, %b2_divide_390 : tensor<2x1x48xf32>
    %b2_constant_402 = stablehlo.constant dense<0.254829586> : tensor<2x1x48xf32>
    %b2_add_403 = stablehlo.add %b2_multiply_401, %b2_constant_402 : tensor<2x1x48xf32>
    %b2_multiply_404 = stablehlo.multiply %b2_add_403, %b2_divide_390 : tensor<2x1x48xf32>
    %b2_multiply_405 = stablehlo.multiply %b2_abs_385, %b2_abs_385 : tensor<2x1x48xf32>
    %b2_negate_406 = stablehlo.negate %b2_multiply_405 : tensor<2x1x48xf32>
    %b2_exponential_407 = stablehlo.exponential %b2_negate_406 : tensor<2x1x48xf32>
    %b2_multiply_408 = stablehlo.multiply %b2_multiply_404, %b2_exponential_407 : tensor<2x1x48xf32>
    %b2_subtract_409 = stablehlo.subtract %b2_constant_386, %b2_multiply_408 : tensor<2x1x48xf32>
    %b2_sign_410 = stablehlo.sign %b2_multiply_384 : tensor<2x1x48xf32>
    %b2_multiply_411 = stablehlo.multiply %b2_sign_410, %b2_subtract_409 : tensor<2x1x48xf32>
    %b2_constant_412 = stablehlo.constant dense<1.0> : tensor<2x1x48xf32>
    %b2_add_413 = stablehlo.add %b2_multiply_411, %b2_constant_412 : tensor<2x1x48xf32>
    %b2_constant_414 = stablehlo.constant dense<0.5> : tensor<2x1x48xf32>
    %b2_multiply_415 = stablehlo.multiply %b2_add_382, %b2_constant_414 : tensor<2x1x48xf32>
    %b2_multiply_416 = stablehlo.multiply %b2_multiply_415, %b2_add_413 : tensor<2x1x48xf32>
    %b2_dot_417 = stablehlo.dot_general %b2_multiply_416, %block_2_down_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x48xf32>, tensor<32x48xf32>) -> tensor<2x1x32xf32>
    %b2_broadcast_418 = stablehlo.broadcast_in_dim %block_2_down_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b2_add_419 = stablehlo.add %b2_dot_417, %b2_broadcast_418 : tensor<2x1x32xf32>
    %b2_add_420 = stablehlo.add %b2_add_379, %b2_add_419 : tensor<2x1x32xf32>
    %b2_constant_421 = stablehlo.constant dense<0.0> : tensor<f32>
    %b2_reduce_422 = stablehlo.reduce(%b2_add_420 init: %b2_constant_421) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b2_constant_423 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %b2_multiply_424 = stablehlo.multiply %b2_reduce_422, %b2_constant_423 : tensor<2x1xf32>
    %b2_broadcast_425 = stablehlo.broadcast_in_dim %b2_multiply_424, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %b2_subtract_426 = stablehlo.subtract %b2_add_420, %b2_broadcast_425 : tensor<2x1x32xf32>
    %b2_multiply_427 = stablehlo.multiply %b2_subtract_426, %b2_subtract_426 : tensor<2x1x32xf32>
    %b2_constant_428 = stablehlo.constant dense<0.0> : tensor<f32>
    %b2_reduce_429 = stablehlo.reduce(%b2_multiply_427 init: %b2_constant_428) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b2_constant_430 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %b2_multiply_431 = stablehlo.multiply %b2_reduce_429, %b2_constant_430 : tensor<2x1xf32>
    %b2_constant_432 = stablehlo.constant dense<1.00000001e-07> : tensor<2x1xf32>
    %b2_add_433 = stablehlo.add %b2_multiply_431, %b2_constant_432 : tensor<2x1xf32>
    %b2_rsqrt_434 = stablehlo.rsqrt %b2_add_433 : tensor<2x1xf32>
    %b2_broadcast_435 = stablehlo.broadcast_in_dim %b2_rsqrt_434, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %b2_multiply_436 = stablehlo.multiply %b2_subtract_426, %b2_broadcast_435 : tensor<2x1x32xf32>
    %b2_broadcast_437 = stablehlo.broadcast_in_dim %block_2_output_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b2_multiply_438 = stablehlo.multiply %b2_multiply_436, %b2_broadcast_437 : tensor<2x1x32xf32>
    %b2_broadcast_439 = stablehlo.broadcast_in_dim %block_2_output_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b2_add_440 = stablehlo.add %b2_multiply_438, %b2_broadcast_439 : tensor<2x1x32xf32>

    // head
    %head_reshape_441 = stablehlo.reshape %b2_add_440 : (tensor<2x1x32xf32>) -> tensor<2x32xf32>
    %head_dot_442 = stablehlo.dot_general %head_reshape_441, %head_dense_weight, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x32xf32>, tensor<32x32xf32>) -> tensor<2x32xf32>
    %head_broadcast_443 = stablehlo.broadcast_in_dim %head_dense_bias, dims = [1] : (tensor<32xf32>) -> tensor<2x32xf32>
    %head_add_444 = stablehlo.add %head_dot_442, %head_broadcast_443 : tensor<2x32xf32>
    %head_constant_445 = stablehlo.constant dense<0.707106769> : tensor<2x32xf32>
    %head_multiply_446 = stablehlo.multiply %head_add_444, %head_constant_445 : tensor<2x32xf32>
    %head_abs_447 = stablehlo.abs %head_multiply_446 : tensor<2x32xf32>
    %head_constant_448 = stablehlo.constant dense<1.0> : tensor<2x32xf32>
    %head_constant_449 = stablehlo.constant dense<0.327591091> : tensor<2x32xf32>
    %head_multiply_450 = stablehlo.multiply %head_abs_447, %head_constant_449 : tensor<2x32xf32>
    %head_add_451 = stablehlo.add %head_constant_448, %head_multiply_450 : tensor<2x32xf32>
    %head_divide_452 = stablehlo.divide %head_constant_448, %head_add_451 : tensor<2x32xf32>
    %head_constant_453 = stablehlo.constant dense<1.06140542> : tensor<2x32xf32>
    %head_multiply_454 = stablehlo.multiply %head_divide_452, %head_constant_453 : tensor<2x32xf32>
    %head_constant_455 = stablehlo.constant dense<-1.45315206> : tensor<2x32xf32>
    %head_add_456 = stablehlo.add %head_multiply_454, %head_constant_455 : tensor<2x32xf32>
    %head_multiply_457 = stablehlo.multiply %head_add_456, %head_divide_452 : tensor<2x32xf32>
    %head_constant_458 = stablehlo.constant dense<1.42141378> : tensor<2x32xf32>
    %head_add_459 = stablehlo.add %head_multiply_457, %head_constant_458 : tensor<2x32xf32>
    %head_multiply_460 = stablehlo.multiply %head_add_459, %head_divide_452 : tensor<2x32xf32>
    %head_constant_461 = stablehlo.constant dense<-0.284496725> : tensor<2x32xf32>
    %head_add_462 = stablehlo.add %head_multiply_460, %head_constant_461 : tensor<2x32xf32>
    %head_multiply_463 = stablehlo.multiply %head_add_462, %head_divide_452 : tensor<2x32xf32>
    %head_constant_464 = stablehlo.constant dense<0.254829586> : tensor<2x32xf32>
    %head_add_465 = stablehlo.add %head_multiply_463, %head_constant_464 : tensor<2x32xf32>
    %head_multiply_466 = stablehlo.multiply %head_add_465, %head_divide_452 : tensor<2x32xf32>
    %head_multiply_467 = stablehlo.multiply %head_abs_447, %head_abs_447 : tensor<2x32xf32>
    %head_negate_468 = stablehlo.negate %head_multiply_467 : tensor<2x32xf32>
    %head_exponential_469 = stablehlo.exponential %head_negate_468 : tensor<2x32xf32>
    %head_multiply_470 = stablehlo.multiply %head_multiply_466, %head_exponential_469 : tensor<2x32xf32>
    %head_subtract_471 = stablehlo.subtract %head_constant_448, %head_multiply_470 : tensor<2x32xf32>
    %head_sign_472 = stablehlo.sign %head_multiply_446 : tensor<2x32xf32>
    %head_multiply_473 = stablehlo.multiply %head_sign_472, %head_subtract_471 : tensor<2x32xf32>
    %head_constant_474 = stablehlo.constant dense<1.0> : tensor<2x32xf32>
    %head_add_475 = stablehlo.add %head_multiply_473, %head_constant_474 : tensor<2x32xf32>
    %head_constant_476 = stablehlo.constant dense<0.5> : tensor<2x32xf32>
    %head_multiply_477 = stablehlo.multiply %head_add_444, %head_constant_476 : tensor<2x32xf32>
    %head_multiply_478 = stablehlo.multiply %head_multiply_477, %head_add_475 : tensor<2x32xf32>
    %head_dot_479 = stablehlo.dot_general %head_multiply_478, %head_output_weight, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x32xf32>, tensor<1x32xf32>) -> tensor<2x1xf32>
    %head_broadcast_480 = stablehlo.broadcast_in_dim %head_output_bias, dims = [1] : (tensor<1xf32>) -> tensor<2x1xf32>
    %head_add_481 = stablehlo.add %head_dot_479, %head_broadcast_480 : tensor<2x1xf32>
    %head_reshape_482 = stablehlo.reshape %head_add_481 : (tensor<2x1xf32>) -> tensor<2xf32>
    return %head_reshape_482 : tensor<2xf32>
  }
}
